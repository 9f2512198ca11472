"""The cost ledger: what each stage cost, counted FLOPs beside theory, and how it ran."""

from __future__ import annotations

from harness.evidence.arms import reference_in_words, training_stages
from harness.evidence.cells import stage_cell
from harness.evidence.costs import MemoryKind, cost_title, measured_value, memory_kind
from harness.evidence.findings import Findings
from harness.evidence.sections.throughput import conditions_table, throughput_table
from harness.evidence.view import ComparisonView
from harness.quantities import (
    CHECKPOINT_SECONDS,
    ENERGY,
    FLOPS,
    FLOPS_THEORY,
    HOST_GROWTH,
    PAIRS,
    PEAK_MEMORY,
    PHASES,
    STEPS,
    TOKENS,
    TOKENS_PADDED,
    WALL_SECONDS,
)
from harness.records import StageResult, TrainFacts
from harness.tables import Cell, Section, Table

THEORY = "By formula: weights, attention and head as in docs/design.md; padded tokens count."


def section(findings: Findings) -> Section:
    """Costs stage by stage."""
    view = findings.view
    tables = (ledger_table(view), flops_table(view), throughput_table(view), conditions_table(view))
    return Section("Cost ledger", (), tables)


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
        STEPS,
        PAIRS,
        TOKENS,
        TOKENS_PADDED,
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


def flops_table(view: ComparisonView) -> Table:
    """Counted against theory, stage by stage, at the first seed."""
    columns = (
        "stage",
        "sequences forwarded per pair",
        "reference",
        FLOPS.title,
        FLOPS_THEORY.title,
        "counted / formula",
        "unknown operations",
    )
    stages = {stage.digest: stage for arm in view.arms for stage in training_stages(view, arm)}
    rows = tuple(_flops_row(stage) for stage in stages.values())
    return Table("flops", "FLOPs: counted against theory", columns, rows, (THEORY,))


def _flops_row(stage: StageResult) -> tuple[Cell, ...]:
    facts = stage.facts_as(TrainFacts)
    forwarded = facts.sequences.forwarded_per_pair if facts.sequences else None
    counted, theory = measured_value(stage, FLOPS), measured_value(stage, FLOPS_THEORY)
    absent = stage.measured(FLOPS_THEORY.name)
    ratio = Cell(None, reason=(absent.reason if absent else None) or "no formula")
    if counted and theory:
        ratio = Cell(counted / theory, "number", digits=4, sources=(stage.digest,))
    return (
        Cell(stage.name, sources=(stage.digest,)),
        Cell(forwarded, "count", reason="not recorded"),
        Cell(reference_in_words(facts)),
        stage_cell(stage, FLOPS),
        stage_cell(stage, FLOPS_THEORY),
        ratio,
        Cell(", ".join(facts.flops_unknown_ops) or "none"),
    )
