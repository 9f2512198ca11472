"""What the rehearsals foretold, beside what the runs measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.costs import measured_value
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, HOST_GROWTH, PEAK_ALLOCATED, WALL_SECONDS, Quantity
from harness.records import Prediction, RehearseFacts, StageResult
from harness.tables import Cell, Section, Table

TOLERANCES = {FLOPS: 0.01, PEAK_ALLOCATED: 0.10, HOST_GROWTH: 0.20, WALL_SECONDS: 0.15}
"""How near a prediction should come."""


@dataclass(frozen=True)
class Expected:
    """One predicted figure; `low` and `high` bound its 95% interval where it has one."""

    quantity: Quantity
    value: float | None
    low: float | None = None
    high: float | None = None


def section(findings: Findings) -> Section | None:
    """None where nothing was rehearsed."""
    table = predictions_table(findings.view)
    return Section("Predicted and measured", (), (table,)) if table.rows else None


def predictions_table(view: ComparisonView) -> Table:
    """One row a rehearsed stage and quantity; FLOPs and memory at the rehearsal's own seed."""
    rows = []
    for digest in view.record.plan.rehearsals:
        rehearsal, trained = view.record.results.get(digest), view.trained_by(digest)
        prediction = rehearsal.facts_as(RehearseFacts).prediction if rehearsal else None
        if rehearsal is None or prediction is None or not trained:
            continue
        same_seed = [stage for stage in trained if stage.seed == rehearsal.seed]
        kind = rehearsal.environment.kind_of_device
        alike = [stage for stage in trained if stage.environment.kind_of_device == kind]
        config = view.record.plan.stages[digest].config
        name = f"{config['stage']} of {', '.join(config['arms'])}"
        for expected in _expected(prediction):
            stages = alike if expected.quantity == WALL_SECONDS else same_seed
            rows.append(_row(name, digest, expected, stages))
    note = (
        "Predicted before any training, from a few steps of each stage. FLOPs and memory are compared at "
        "the seed that was rehearsed, since padding differs between seeds; time with the mean over seeds "
        "that ran on the rehearsal's kind of device. Brackets: 95% interval from the spread of the timed "
        "steps."
    )
    columns = ("stage", "quantity", "predicted", "measured", "measured / predicted", "wanted", "result")
    return Table("predictions", "Predicted and measured", columns, tuple(rows), (note,))


def _expected(prediction: Prediction) -> tuple[Expected, ...]:
    memory = Expected(HOST_GROWTH, prediction.host_growth_bytes)
    if prediction.peak_memory_bytes is not None:
        memory = Expected(PEAK_ALLOCATED, prediction.peak_memory_bytes)
    time = Expected(WALL_SECONDS, prediction.seconds, prediction.seconds_low, prediction.seconds_high)
    return Expected(FLOPS, prediction.flops), memory, time


def _row(name: str, digest: str, expected: Expected, stages: Sequence[StageResult]) -> tuple[Cell, ...]:
    quantity = expected.quantity
    sources = (digest, *(stage.digest for stage in stages))
    figures = [value for stage in stages if (value := measured_value(stage, quantity)) is not None]
    unknown = "the rehearsal did not foretell it"
    first = Cell(expected.value, quantity.kind, expected.low, expected.high, reason=unknown, sources=sources)
    within = f"within {TOLERANCES[quantity]:.0%}"
    if not expected.value or not figures:
        absent = Cell(None, quantity.kind, reason=unknown if not expected.value else "no stage measured it")
        return (Cell(name), Cell(quantity.title), first, absent, absent, Cell(within), Cell("not compared"))
    mean = sum(figures) / len(figures)
    ratio = mean / expected.value
    holds = abs(ratio - 1) <= TOLERANCES[quantity]
    return (
        Cell(name),
        Cell(quantity.title),
        first,
        Cell(mean, quantity.kind, sources=sources),
        Cell(ratio, "number", digits=4 if quantity == FLOPS else 2, sources=sources),
        Cell(within),
        Cell(within if holds else f"outside {TOLERANCES[quantity]:.0%}", bold=not holds),
    )
