"""The cost ledger: what each stage cost, and how it ran."""

from __future__ import annotations

from harness.evidence.cells import stage_cell
from harness.evidence.costs import MemoryKind, cost_title, memory_kind
from harness.evidence.findings import Findings
from harness.evidence.sections.throughput import throughput_table
from harness.evidence.view import ComparisonView
from harness.quantities import (
    AMORTISED_JOULES,
    AMORTISED_SECONDS,
    CHECKPOINT_SECONDS,
    ENERGY,
    FLOPS,
    HOST_GROWTH,
    PEAK_MEMORY,
    PHASES,
    ROLLOUTS,
    WALL_SECONDS,
    Quantity,
)
from harness.records import StageResult, TrainFacts
from harness.tables import Cell, Section, Table

READ = (
    "A reference's log-probs that another stage scored are read where they would be the same to the bit. Who "
    "reads them is charged the pass as it was measured there, in seconds, bytes, FLOPs and joules: no arm is "
    "cheaper for coming second. What it took itself, reading in place of the pass, is the time spent here."
)
SPENT = {AMORTISED_SECONDS: WALL_SECONDS, AMORTISED_JOULES: ENERGY}
"""What a stage took that read its reference's log-probs, and what it is charged."""


def section(findings: Findings) -> Section:
    """Costs stage by stage."""
    view = findings.view
    return Section("Cost ledger", (), (ledger_table(view), throughput_table(view)))


def ledger_table(view: ComparisonView) -> Table:
    """One row a training stage, in the order they ran; on CPU also the growth above imports.

    Where some stage read its reference's log-probs, what each took stands beside what it is charged. On
    several devices the last column says which.
    """
    stages = view.trained_stages
    saved = [CHECKPOINT_SECONDS] if any(s.measured(CHECKPOINT_SECONDS.name) for s in stages) else []
    answered = [quantity for quantity in ROLLOUTS if any(stage.measured(quantity.name) for stage in stages)]
    spent = [quantity for quantity in SPENT if any(stage.measured(quantity.name) for stage in stages)]
    shown = (
        *PHASES,
        *answered,
        *saved,
        WALL_SECONDS,
        PEAK_MEMORY,
        *([HOST_GROWTH] if memory_kind(view) == MemoryKind.HOST else []),
        FLOPS,
        ENERGY,
    )
    titles = (cost_title(view, quantity) if quantity == PEAK_MEMORY else quantity.title for quantity in shown)
    several = len({stage.environment.place for stage in stages}) > 1
    rows = tuple(
        (
            Cell(stage.name, sources=(stage.digest,)),
            *(_cell(stage, quantity) for quantity in shown),
            *(_spent_cell(stage, quantity) for quantity in spent),
            Cell(_origin(view, stage)),
            *([Cell(stage.environment.place or stage.environment.kind_of_device)] if several else []),
        )
        for stage in stages
    )
    beside = ", in-training evaluation and checkpoints" if saved else " and in-training evaluation"
    own = "".join(f" + {quantity.title}" for quantity in answered)
    headline = f"Training time = load + reference + train{own} + save."
    note = f"{headline} Start-up (imports){beside} are not part of it."
    where = ["ran on"] if several else []
    columns = ("stage", *titles, *(quantity.title for quantity in spent), "origin", *where)
    return Table("ledger", "What each stage cost", columns, rows, (note, *([READ] if spent else [])))


def _cell(stage: StageResult, quantity: Quantity) -> Cell:
    """The stage's figure; what a stage does not do is none."""
    if quantity in ROLLOUTS and stage.measured(quantity.name) is None:
        return Cell("none", quantity.kind)
    return stage_cell(stage, quantity)


def _spent_cell(stage: StageResult, quantity: Quantity) -> Cell:
    """What the stage took: what it is charged, unless it read what another one scored."""
    return stage_cell(stage, quantity if stage.measured(quantity.name) else SPENT[quantity])


def _origin(view: ComparisonView, stage: StageResult) -> str:
    """The run that trained the stage, and how many cells use it."""
    use = view.record.uses[stage.digest]
    cells = sum(stage.digest in cell.stages for cell in view.record.plan.cells)
    origin = f"reused from {use.reused_from}" if use.reused_from else "this run"
    shared = f", shared by {cells} arms" if cells > 1 else ""
    reference = stage.facts_as(TrainFacts).reference
    maker = reference.scored_in if reference else None
    named = view.record.results.get(maker or "")
    return f"{origin}{shared}" + (f"; reference scored in {named.name if named else maker}" if maker else "")
