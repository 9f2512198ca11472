"""Held-out quality along an arm's training against what was spent up to there.

An arm's stages follow one another: a later stage's cost begins where the whole of the earlier
one, its saving included, ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.costs import counts, measured_value
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


OLD_PROBE_PAIRS = 64  # in records that do not say how many
FEWEST_PROBED = 20
"""Over fewer pairs an accuracy moves in steps of more than five points, and says nothing of quality."""
AXES = (
    Axis("FLOPs", "training FLOPs", "elapsed_flops", FLOPS),
    Axis("seconds", "training time (s)", "elapsed_seconds", WALL_SECONDS),
    Axis("joules", "energy (J)", "elapsed_joules", ENERGY),
)


def probed_pairs(view: ComparisonView) -> list[int]:
    """How many held-out pairs the probes scored: one number where all stages scored as many."""
    metrics = (row["metrics"] for rows in view.series.values() for row in rows)
    counts = sorted({int(known["probe_pairs"]) for known in metrics if "probe_pairs" in known})
    return counts or [min(OLD_PROBE_PAIRS, view.prepared.test_pairs)]


def curves(view: ComparisonView, arm: str, axis: Axis) -> list[Curve]:
    """One curve a seed; empty where cost or held-out preference accuracy was not measured, and where seconds
    or joules are of several kinds of device."""
    if axis.total.timed and view.mixed_fleet:
        return []
    of_seeds = [_curve(view, cell, axis) for cell in view.cells_of(arm) if counts(view, cell, axis.total)]
    return [curve for curve in of_seeds if curve is not None]


def _curve(view: ComparisonView, cell: PlannedCell, axis: Axis) -> Curve | None:
    """None also where the last stage has no probe: the model that the arm ends in was then not measured."""
    spent, quality = 0.0, PREFERENCE_ACCURACY.name
    points: list[tuple[float, float]] = []
    of_stage: list[tuple[float, float]] = []
    for stage in view.stages_of(cell):
        metrics = [row["metrics"] for row in view.series.get(stage.digest, [])]
        probes = [one for one in metrics if quality in one and one.get(axis.running) is not None]
        of_stage = [(spent + one[axis.running], one[quality]) for one in probes]
        points += of_stage
        total = measured_value(stage, axis.total)
        if total is None:
            return None
        spent += total
    if not of_stage:
        return None
    points.sort(key=lambda point: point[0])
    return Curve(cell.seed, tuple(cost for cost, _ in points), tuple(q for _, q in points), spent)
