"""The primary arm's FLOPs over those of other arms: counted, by formula, and at equal lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.evidence.arms import method_name, passes_per_pair, training_stages, trains_on_pairs
from harness.evidence.costs import measured_value
from harness.evidence.primary import Primary
from harness.evidence.view import ComparisonView
from harness.quantities import BODY_FLOPS, FLOPS, FLOPS_THEORY, Quantity
from harness.records import PlannedCell, StageResult
from harness.tables import Cell, Table

QUANTITIES = (FLOPS, FLOPS_THEORY, BODY_FLOPS)


@dataclass(frozen=True)
class Part:
    """An arm's stages from number `first` on."""

    arm: str
    first: int = 0

    def stages(self, view: ComparisonView, cell: PlannedCell) -> list[StageResult]:
        """The stages of one of the arm's cells."""
        return view.stages_of(cell)[self.first :]


def ratios_table(view: ComparisonView, pair: Primary | None) -> Table | None:
    """The primary arm against every other that learns from pairs, and against its last stage alone.

    Means over seeds; None where there is no other such arm.
    """
    others = [arm for arm in view.arms if pair and arm != pair.a and trains_on_pairs(view, arm)]
    if pair is None or not others:
        return None
    rows = []
    for arm in others:
        rows.append(_row(view, Part(pair.a), Part(arm)))
        if len(training_stages(view, arm)) > 1:
            rows.append(_row(view, _last(view, pair.a), _last(view, arm)))
    columns = (
        "ratio",
        *(quantity.title for quantity in QUANTITIES),
        "body FLOPs at equal lengths and epochs",
    )
    note = (
        "FLOPs: every operation of every batch, counted. By formula: docs/design.md, over the same batches. "
        "Body: the blocks' matrices alone, without attention scores and head. Equal lengths: passes over the "
        "weights per pair, 6 a trained sequence (4 with LoRA) and 2 a reference's forward."
    )
    return Table("ratios", f"FLOPs of {pair.a} against other arms", columns, tuple(rows), (note,))


def _last(view: ComparisonView, arm: str) -> Part:
    """An arm's last stage."""
    return Part(arm, len(training_stages(view, arm)) - 1)


def _row(view: ComparisonView, top: Part, bottom: Part) -> tuple[Cell, ...]:
    label = f"{_label(view, top)} / {_label(view, bottom)}"
    counted = (_ratio(view, top, bottom, quantity) for quantity in QUANTITIES)
    exact = equal_lengths(view, top, bottom)
    reason = "some method does not say how many sequences it trains a pair"
    value = None if exact is None else float(exact)
    return (Cell(label), *counted, Cell(value, "number", digits=3, reason=reason))


def _label(view: ComparisonView, part: Part) -> str:
    """`orpo`, or `(sft + dpo of sft_dpo)` where the stages have other names than the arm."""
    methods = [method_name(view, stage) for stage in training_stages(view, part.arm)[part.first :]]
    return part.arm if methods == [part.arm] else f"({' + '.join(methods)} of {part.arm})"


def equal_lengths(view: ComparisonView, top: Part, bottom: Part) -> Fraction | None:
    """Body FLOPs of `top` over those of `bottom`, one epoch each, all sequences of one length.

    ORPO over SFT and DPO has 12/22 in full and 8/16 with LoRA, over DPO alone 12/16 and 8/12.
    """
    above, below = (
        _sum([passes_per_pair(view, stage) for stage in training_stages(view, part.arm)[part.first :]])
        for part in (top, bottom)
    )
    return None if above is None or below is None else above / below


def _sum(passes: Sequence[Fraction | None]) -> Fraction | None:
    known = [one for one in passes if one is not None]
    return sum(known, Fraction(0)) if len(known) == len(passes) else None


def _ratio(view: ComparisonView, top: Part, bottom: Part, quantity: Quantity) -> Cell:
    ratios, sources = [], []
    for mine, theirs in zip(view.cells_of(top.arm), view.cells_of(bottom.arm), strict=True):
        stages = (top.stages(view, mine), bottom.stages(view, theirs))
        sources += [stage.digest for part in stages for stage in part]
        figures = [[measured_value(stage, quantity) for stage in part] for part in stages]
        above, below = ([value for value in part if value is not None] for part in figures)
        if len(above) < len(stages[0]) or len(below) < len(stages[1]) or not sum(below):
            return Cell(None, "number", reason=f"some stage has no {quantity.name}")
        ratios.append(sum(above) / sum(below))
    return Cell(sum(ratios) / len(ratios), "number", digits=3, sources=tuple(dict.fromkeys(sources)))
