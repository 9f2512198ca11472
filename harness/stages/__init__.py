"""Runs stages: the parent starts and watches, a fresh child process does one stage."""
