"""What the rehearsals foretold, beside what the runs measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.view import ComparisonView
from harness.records import Prediction, RehearseFacts, StageResult
from harness.tables import Cell, CellKind, Table


@dataclass(frozen=True)
class Foretold:
    """One quantity: where the rehearsal and the ledger hold it, and how near it should come."""

    title: str
    predicted: str
    measured: str
    kind: CellKind
    tolerance: float


FLOPS = Foretold("FLOPs", "flops", "flops", "flops", 0.01)
VRAM = Foretold("peak allocated VRAM", "peak_memory_bytes", "peak_allocated_bytes", "bytes", 0.10)
GROWTH = Foretold("host memory above imports", "host_growth_bytes", "host_growth_bytes", "bytes", 0.20)
TIME = Foretold("training time", "seconds", "wall_seconds", "seconds", 0.15)


def predictions_table(view: ComparisonView) -> Table:
    """One row a rehearsed stage and quantity; FLOPs and memory at the rehearsal's own seed."""
    rows = []
    for digest in view.record.plan.rehearsals:
        rehearsal = view.record.results.get(digest)
        prediction = rehearsal.facts_as(RehearseFacts).prediction if rehearsal else None
        trained = view.trained_by(digest)
        if rehearsal is None or not prediction or not trained:
            continue
        same_seed = [stage for stage in trained if stage.seed == rehearsal.seed]
        config = view.record.plan.stages[digest].config
        name = f"{config['stage']} of {', '.join(config['arms'])}"
        memory = VRAM if prediction.peak_memory_bytes is not None else GROWTH
        for what, stages in ((FLOPS, same_seed), (memory, same_seed), (TIME, trained)):
            rows.append(_row(name, digest, what, prediction, stages))
    notes = (
        "Predicted before any training, from a few steps of each stage. FLOPs and memory are compared "
        "at the seed that was rehearsed, since padding differs between seeds; time with the mean over "
        "seeds. Brackets: 95% interval from the spread of the timed steps.",
    )
    columns = ("stage", "quantity", "predicted", "measured", "measured / predicted", "wanted", "result")
    return Table("predictions", "Predicted and measured", columns, tuple(rows), notes)


def _row(
    name: str, digest: str, what: Foretold, prediction: Prediction, stages: Sequence[StageResult]
) -> tuple[Cell, ...]:
    sources = (digest, *(stage.digest for stage in stages))
    expected = getattr(prediction, what.predicted)
    found = [m.value for s in stages if (m := s.measured(what.measured)) and m.value is not None]
    low, high = (getattr(prediction, f"{what.predicted}_{end}", None) for end in ("low", "high"))
    first = Cell(expected, what.kind, low, high, reason="the rehearsal did not foretell it", sources=sources)
    within = f"within {what.tolerance:.0%}"
    if not expected or not found:
        reason = "the rehearsal did not foretell it" if not expected else "no stage measured it"
        absent = Cell(None, what.kind, reason=reason)
        return (Cell(name), Cell(what.title), first, absent, absent, Cell(within), Cell("not compared"))
    mean = sum(found) / len(found)
    ratio = mean / expected
    said = within if abs(ratio - 1) <= what.tolerance else f"outside {what.tolerance:.0%}"
    return (
        Cell(name),
        Cell(what.title),
        first,
        Cell(mean, what.kind, sources=sources),
        Cell(ratio, "number", digits=4 if what is FLOPS else 2, sources=sources),
        Cell(within),
        Cell(said, bold=said != within),
    )
