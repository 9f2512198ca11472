"""The cost ledger: what each stage cost, and how it ran."""

from __future__ import annotations

from harness.evidence.cells import stage_cell
from harness.evidence.costs import MemoryKind, cost_title, memory_kind
from harness.evidence.findings import Findings
from harness.evidence.sections.throughput import throughput_table
from harness.evidence.view import ComparisonView
from harness.quantities import (
    CHECKPOINT_SECONDS,
    ENERGY,
    FLOPS,
    HOST_GROWTH,
    PEAK_MEMORY,
    PHASES,
    WALL_SECONDS,
)
from harness.records import StageResult
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section:
    """Costs stage by stage."""
    view = findings.view
    return Section("Cost ledger", (), (ledger_table(view), throughput_table(view)))


def ledger_table(view: ComparisonView) -> Table:
    """One row a training stage, in the order they ran; on CPU also the growth above imports."""
    stages = view.trained_stages
    saved = [CHECKPOINT_SECONDS] if any(s.measured(CHECKPOINT_SECONDS.name) for s in stages) else []
    shown = (
        *PHASES,
        *saved,
        WALL_SECONDS,
        PEAK_MEMORY,
        *([HOST_GROWTH] if memory_kind(view) == MemoryKind.HOST else []),
        FLOPS,
        ENERGY,
    )
    titles = (cost_title(view, quantity) if quantity == PEAK_MEMORY else quantity.title for quantity in shown)
    rows = tuple(
        (
            Cell(stage.name, sources=(stage.digest,)),
            *(stage_cell(stage, quantity) for quantity in shown),
            Cell(_origin(view, stage)),
        )
        for stage in stages
    )
    beside = ", in-training evaluation and checkpoints" if saved else " and in-training evaluation"
    note = f"Training time = load + reference + train + save. Start-up (imports){beside} are not part of it."
    return Table("ledger", "What each stage cost", ("stage", *titles, "origin"), rows, (note,))


def _origin(view: ComparisonView, stage: StageResult) -> str:
    """The run that trained the stage, and how many cells use it."""
    use = view.record.uses[stage.digest]
    cells = sum(stage.digest in cell.stages for cell in view.record.plan.cells)
    origin = f"reused from {use.reused_from}" if use.reused_from else "this run"
    return f"{origin}, shared by {cells} arms" if cells > 1 else origin
