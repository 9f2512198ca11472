"""FLOPs stage by stage: what was forwarded, the reference's share, and the count against the formula."""

from __future__ import annotations

from harness.evidence.arms import reference_in_words, training_stages
from harness.evidence.cells import stage_cell
from harness.evidence.costs import measured_value
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, FLOPS_THEORY, REFERENCE_FLOPS, REFERENCE_SECONDS
from harness.records import SequenceFacts, StageResult, TrainFacts
from harness.tables import Cell, Table

NOTES = (
    "By formula: weights, attention and head as in docs/design.md; tokens count where they are computed.",
    "Sequences are counted by hooks on the models' forward and backward passes. In the loop, the reference "
    "runs within the steps and its time cannot be told from theirs; computed before, its pass has a clock "
    "of its own and is charged to the arm.",
)


def flops_table(view: ComparisonView) -> Table:
    """One row a stage of each arm at the first seed."""
    columns = (
        "stage",
        "reference",
        "sequences forwarded per pair",
        "with gradient",
        "once, before training",
        FLOPS.title,
        FLOPS_THEORY.title,
        "counted / formula",
        "unknown operations",
        "of it the reference",
        "share",
        "reference pass before training",
    )
    stages = {stage.digest: stage for arm in view.arms for stage in training_stages(view, arm)}
    rows = tuple(_row(stage) for stage in stages.values())
    return Table("flops", "FLOPs by stage, counted and by formula", columns, rows, NOTES)


def _row(stage: StageResult) -> tuple[Cell, ...]:
    facts = stage.facts_as(TrainFacts)
    return (
        Cell(stage.name, sources=(stage.digest,)),
        Cell(reference_in_words(facts)),
        *_sequences(facts.sequences, stage.digest),
        stage_cell(stage, FLOPS),
        stage_cell(stage, FLOPS_THEORY),
        _against_formula(stage),
        Cell(", ".join(facts.flops_unknown_ops) or "none"),
        *_reference(stage),
    )


def _sequences(counts: SequenceFacts | None, digest: str) -> tuple[Cell, ...]:
    """Per pair: forwarded in the steps, with a gradient, and once before them."""
    figures = (
        (counts.forwarded_per_pair, counts.with_gradient_per_pair, counts.once_per_pair)
        if counts
        else (None, None, None)
    )
    return tuple(
        Cell(figure, "number", digits=2, reason="not recorded", sources=(digest,)) for figure in figures
    )


def _against_formula(stage: StageResult) -> Cell:
    counted, theory = measured_value(stage, FLOPS), measured_value(stage, FLOPS_THEORY)
    if counted and theory:
        return Cell(counted / theory, "number", digits=4, sources=(stage.digest,))
    absent = stage.measured(FLOPS_THEORY.name)
    return Cell(None, reason=(absent.reason if absent else None) or "no formula")


def _reference(stage: StageResult) -> tuple[Cell, Cell, Cell]:
    """The reference's FLOPs, their share of the stage's, and its seconds where it ran apart."""
    if stage.facts_as(TrainFacts).reference is None:
        return Cell("none", "flops"), Cell("none", "percent"), Cell("none", "seconds")
    flops, of_stage = measured_value(stage, REFERENCE_FLOPS), measured_value(stage, FLOPS)
    share = Cell(None, "percent", reason="FLOPs were not counted")
    if flops is not None and of_stage:
        share = Cell(flops / of_stage, "percent", digits=1, sources=(stage.digest,))
    before = stage.measured(REFERENCE_SECONDS.name)
    seconds = Cell(before.value if before else "within the steps", "seconds", sources=(stage.digest,))
    return stage_cell(stage, REFERENCE_FLOPS), share, seconds
