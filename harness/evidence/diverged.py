"""Seeds at which a training diverged, by a rule that is written here and not chosen after the results.

A stage has diverged where a loss is not finite, or where the median loss of its last quarter of steps lies
above every loss of its first quarter by more than their range, and by more than half (DPO begins at ln 2
with next to no range). One such seed makes every interval over seeds wrong, so that the report shows what
it compares with and without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from harness.evidence.view import BASE, ComparisonView

FEWEST_STEPS = 8
"""With fewer logged steps only a loss that is not finite counts."""


def has_diverged(losses: Sequence[float]) -> bool:
    """Whether these losses, in the order of their steps, are those of a training that diverged."""
    if not all(math.isfinite(loss) for loss in losses):
        return True
    if len(losses) < FEWEST_STEPS:
        return False
    quarter = len(losses) // 4
    first, last = losses[:quarter], losses[-quarter:]
    return median(last) > max(first) + max(max(first) - min(first), abs(max(first)) / 2)


def diverged_seeds(view: ComparisonView, *arms: str) -> list[int]:
    """Seeds at which a stage of one of the arms diverged."""
    cells = [cell for arm in arms if arm != BASE for cell in view.cells_of(arm)]
    return sorted({cell.seed for cell in cells if any(has_diverged(_losses(view, d)) for d in cell.stages)})


def _losses(view: ComparisonView, digest: str) -> list[float]:
    rows = (row["metrics"] for row in view.series.get(digest, []))
    return [float(metrics["loss"]) for metrics in rows if metrics.get("loss") is not None]
