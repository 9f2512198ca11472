"""ORPO's FLOPs over those of SFT and DPO: counted, by formula, and at equal lengths."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from harness.evidence.view import ComparisonView
from harness.records import StageResult, TrainFacts
from harness.tables import Cell, Table

# Passes over a body's weights per sequence: full training 6, LoRA 4, forward alone 2.
_TRAINED, _FORWARD = {"full": 6, "lora": 4}, 2
_SEQUENCES = {"sft": 1, "dpo": 2, "orpo": 2}
QUANTITIES = ("flops", "flops_theory", "body_flops")


def ratios_table(view: ComparisonView) -> Table:
    """Every DPO arm: ORPO against the arm, and against its DPO stage alone; mean over seeds."""
    rows = []
    for arm in view.arms if "orpo" in view.arms else []:
        stages = view.stages_of(view.cells_of(arm)[0])
        names = [_method(view, stage) for stage in stages]
        if "dpo" not in names:
            continue
        whole = " + ".join(names)
        rows.append(_row(view, arm, f"orpo / ({whole} of {arm})", 0, names, stages))
        rows.append(_row(view, arm, f"orpo / (dpo of {arm})", names.index("dpo"), names, stages))
    columns = (
        "ratio",
        "all FLOPs, counted",
        "all FLOPs, formula",
        "body FLOPs, formula",
        "body FLOPs at equal lengths and epochs",
    )
    note = (
        "Counted: every operation of every batch. Formula: docs/design.md, over the same batches. Body: "
        "the blocks' matrices alone, without attention scores and head. Equal lengths: passes over the "
        "weights per pair, 6 a trained sequence (4 with LoRA) and 2 a reference's forward."
    )
    return Table("ratios", "ORPO's FLOPs against SFT and DPO", columns, tuple(rows), (note,))


def _row(
    view: ComparisonView,
    arm: str,
    label: str,
    first: int,
    names: Sequence[str],
    stages: Sequence[StageResult],
) -> tuple[Cell, ...]:
    cells = [_ratio(view, arm, first, quantity) for quantity in QUANTITIES]
    exact = equal_lengths(names[first:], stages[-1].facts_as(TrainFacts).tuning or "full")
    return (Cell(label), *cells, Cell(float(exact), "number", digits=3))


def equal_lengths(methods: Sequence[str], tuning: str) -> Fraction:
    """Body FLOPs of ORPO over those of `methods`, one epoch each, all sequences of one length.

    A DPO pair is forwarded twice more by the reference, in the loop or before it: 0.545 for SFT
    and DPO in full, 0.500 with LoRA; 0.75 and 0.667 for DPO alone.
    """
    per_sequence = _TRAINED[tuning]
    total = sum(_SEQUENCES[m] * per_sequence + (2 * _FORWARD if m == "dpo" else 0) for m in methods)
    return Fraction(_SEQUENCES["orpo"] * per_sequence, total)


def _ratio(view: ComparisonView, arm: str, first: int, quantity: str) -> Cell:
    found, sources = [], []
    for mine, theirs in zip(view.cells_of("orpo"), view.cells_of(arm), strict=True):
        top = [s.measured(quantity) for s in view.stages_of(mine)]
        bottom = [s.measured(quantity) for s in view.stages_of(theirs)[first:]]
        sources += [*mine.stages, *theirs.stages[first:]]
        if any(m is None or m.value is None for m in (*top, *bottom)):
            return Cell(None, "number", reason=f"some stage has no {quantity}")
        found.append(sum(m.value or 0 for m in top if m) / sum(m.value or 0 for m in bottom if m))
    return Cell(sum(found) / len(found), "number", digits=3, sources=tuple(dict.fromkeys(sources)))


def _method(view: ComparisonView, stage: StageResult) -> str:
    return str(view.record.plan.stages[stage.digest].config["method"])
