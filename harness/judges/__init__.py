"""Judges, one file each: `Config`, `check(config)` and `make(config, cache)`, which returns a Judge.

A judge has `name` and `prefer_all`. It may have `grade_all` (single answers), `complete_all` (free text,
for benchmarks with prompts of their own), `announce` (what it is going to ask, and what that costs)
and `usage` (what it asked and what that cost). A module may have `files(config)`: the files, folders and
hub repositories that its settings name, so that a change of their contents judges again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[int, int], None]
Duel = tuple[str, str, str]
"""A prompt, the first answer and the second."""


COUNTED = ("calls", "cache_hits", "retries", "input_tokens", "output_tokens", "money")


class Judge(Protocol):
    """Says which of two answers is better."""

    name: str

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = ...) -> list[float | None]:
        """1 where the first answer is better, 0 the second, 0.5 a tie, None where it could not tell."""


class GradingJudge(Judge, Protocol):
    """A judge that can also grade single answers."""

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Progress = ...) -> list[float | None]:
        """A score in [0, 1] of each (prompt, answer), None where it could not tell."""


class WritingJudge(Judge, Protocol):
    """A judge that answers prompts of a benchmark's own."""

    def complete_all(
        self, conversations: Sequence[Sequence[tuple[str, str]]], max_tokens: int, progress: Progress = ...
    ) -> list[str]:
        """The reply to each conversation of (role, text) messages."""


def quiet(done: int, total: int) -> None:
    """No progress shown."""


def judge_needs_hub(module: Any, config: Any) -> bool:
    """Whether a judge's own model may have to be fetched from a hub."""
    return hasattr(module, "needs_hub") and bool(module.needs_hub(config))


def announce(judge: Any, duels: Sequence[Duel]) -> None:
    """Let a judge that costs something say, before the first call, what all duels will cost."""
    if hasattr(judge, "announce"):
        judge.announce(duels)


def cache_of(out: Path) -> Path:
    """Where judges keep replies: in the run root that holds a stage's folder `out`."""
    return out.parent.parent / "cache" / "judges"


def usage_of(judge: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a judge says it asked, less what it had asked `before`; nothing for one that asks nobody."""
    if not hasattr(judge, "usage"):
        return {}
    now: dict[str, Any] = judge.usage()
    earlier = before or {}
    return {
        name: value - earlier[name] if name in COUNTED and value is not None and earlier.get(name) else value
        for name, value in now.items()
    }
