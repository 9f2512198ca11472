"""What a training stage's loss was, by the steps that were logged together: ours singly, stock's in tens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

FIRST = 5
"""Steps in which two equal trainings are held to the same losses. Later their roundings have grown: at the
embedded model's learning rates a last bit becomes some percent of the loss within 28 steps."""
Window = tuple[int, int, float]
"""First step, last step, mean loss of the steps between them, both included."""


def by_step(steps: Path) -> list[Window]:
    """The loss of every step of one of our stages, from its `steps.jsonl`."""
    rows = [json.loads(line) for line in steps.read_text(encoding="utf-8").splitlines()]
    losses = {int(row["step"]): float(row["metrics"]["loss"]) for row in rows if "loss" in row["metrics"]}
    return [(step, step, loss) for step, loss in losses.items()]


@dataclass(frozen=True)
class Apart:
    """How far two trainings of the same work are apart, relative: at most in each of the first steps, and in
    the last; and how far stock is from itself at the end, where micro-batches of half the size round
    otherwise. Trainers that take a template's tokens after the stop token too train on more of them."""

    first: float
    last: float
    rounding: float | None
    same_tokens: bool = True


def first_difference(ours: Sequence[Window], theirs: Sequence[Window], steps: int = FIRST) -> float:
    """The largest relative difference of a loss in the first steps; theirs were logged step by step."""
    losses = {step: loss for step, _, loss in ours}
    return max(abs(losses[step] - loss) / abs(loss) for step, _, loss in theirs[:steps])


def last_difference(ours: Sequence[Window], theirs: Sequence[Window]) -> float:
    """Relative difference of the mean losses over the steps of their last window; ours is by step."""
    first, last, mean = theirs[-1]
    return abs(fmean(loss for step, _, loss in ours if first <= step <= last) - mean) / abs(mean)
