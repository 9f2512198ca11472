"""Held-out quality along an arm's training against what was spent up to there.

An arm's stages follow one another: a later stage's cost begins where the whole of the earlier
one, its saving included, ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.costs import measured_value
from harness.evidence.statistics.curve import Curve
from harness.evidence.view import ComparisonView
from harness.quantities import ENERGY, FLOPS, PREFERENCE_ACCURACY, WALL_SECONDS, Quantity
from harness.records import PlannedCell


@dataclass(frozen=True)
class Axis:
    """One way to count cost: the series' running figure, and the total that the ledger has of a stage."""

    name: str
    label: str
    running: str
    total: Quantity


AXES = (
    Axis("FLOPs", "training FLOPs", "elapsed_flops", FLOPS),
    Axis("seconds", "training time (s)", "elapsed_seconds", WALL_SECONDS),
    Axis("joules", "energy (J)", "elapsed_joules", ENERGY),
)


def curves(view: ComparisonView, arm: str, axis: Axis) -> list[Curve]:
    """One curve a seed; empty where cost or held-out preference accuracy was not measured."""
    of_seeds = [_curve(view, cell, axis) for cell in view.cells_of(arm)]
    return [curve for curve in of_seeds if curve is not None]


def _curve(view: ComparisonView, cell: PlannedCell, axis: Axis) -> Curve | None:
    spent, points = 0.0, []
    quality = PREFERENCE_ACCURACY.name
    for stage in view.stages_of(cell):
        for row in view.series.get(stage.digest, []):
            here = row["metrics"].get(axis.running)
            if quality in row["metrics"] and here is not None:
                points.append((spent + here, row["metrics"][quality]))
        total = measured_value(stage, axis.total)
        if total is None:
            return None
        spent += total
    points.sort(key=lambda point: point[0])
    if not points:
        return None
    return Curve(cell.seed, tuple(cost for cost, _ in points), tuple(q for _, q in points), spent)
