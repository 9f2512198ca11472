"""What a training stage's loss was, by the steps that were logged together: ours singly, stock's in tens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

Window = tuple[int, int, float]
"""First step, last step, mean loss of the steps between them, both included."""


def by_step(steps: Path) -> list[Window]:
    """The loss of every step of one of our stages, from its `steps.jsonl`."""
    rows = [json.loads(line) for line in steps.read_text(encoding="utf-8").splitlines()]
    losses = {int(row["step"]): float(row["metrics"]["loss"]) for row in rows if "loss" in row["metrics"]}
    return [(step, step, loss) for step, loss in losses.items()]


def last_difference(ours: Sequence[Window], theirs: Sequence[Window]) -> float:
    """Relative difference of the mean losses over the steps of their last window; ours is by step."""
    first, last, mean = theirs[-1]
    return abs(fmean(loss for step, _, loss in ours if first <= step <= last) - mean) / abs(mean)
