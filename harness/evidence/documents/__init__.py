"""Whole documents: reports of one run, of replayed results and of several runs, and what goes with them."""
