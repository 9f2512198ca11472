"""Pairs of chosen and rejected answers: load, check, split, tokenise, describe."""
