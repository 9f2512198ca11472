"""Judges, one file each: `Config` and `make(config)`, which returns a Judge."""

from __future__ import annotations

from typing import Protocol


class Judge(Protocol):
    """Says which of two answers is better."""

    name: str

    def prefer(self, prompt: str, first: str, second: str) -> float | None:
        """1 if `first` is better, 0 if `second` is, 0.5 for a tie, None if it could not tell."""


class GradingJudge(Judge, Protocol):
    """A judge that can also grade a single answer."""

    def grade(self, prompt: str, answer: str) -> float:
        """A score in [0, 1]."""
