"""Where a difference in cost comes from: a stage more, the reference, or the implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.evidence.arms import method_name, method_title, training_stages, trains_on_pairs
from harness.evidence.costs import (
    BY_KIND,
    MemoryKind,
    cell_cost,
    charged_value,
    cost_title,
    counts,
    memory_kind,
)
from harness.evidence.primary import Primary
from harness.evidence.view import ComparisonView
from harness.quantities import (
    COSTS,
    ENERGY,
    FLOPS,
    REFERENCE_FLOPS,
    REFERENCE_JOULES,
    REFERENCE_SECONDS,
    WALL_SECONDS,
    Quantity,
)
from harness.records import PlannedCell, ReferenceMode, StageResult, TrainFacts
from harness.tables import Cell, Table

APART = {WALL_SECONDS: REFERENCE_SECONDS, FLOPS: REFERENCE_FLOPS, ENERGY: REFERENCE_JOULES}
"""What of a cost a reference's pass before training took."""


@dataclass(frozen=True)
class Split:
    """Arms that split a difference: `longer` ends with a reference in the loop, `single` learns from pairs
    in one stage without any, and `control` is `longer` with its reference computed before training."""

    longer: str
    single: str
    control: str


def split_of(view: ComparisonView, pair: Primary | None) -> Split | None:
    """The primary arms with the control that this comparison holds for them, or None."""
    if pair is None:
        return None
    for longer, single in ((pair.b, pair.a), (pair.a, pair.b)):
        alone = _modes(view, single) == [None] and trains_on_pairs(view, single)
        if alone and _modes(view, longer)[-1:] == [ReferenceMode.IN_LOOP]:
            methods = _methods(view, longer)
            for control in view.arms:
                precomputed = _modes(view, control)[-1:] == [ReferenceMode.PRECOMPUTED]
                if precomputed and _methods(view, control) == methods:
                    return Split(longer, single, control)
    return None


def _modes(view: ComparisonView, arm: str) -> list[ReferenceMode | None]:
    """How each stage of the arm gets its reference."""
    facts = [stage.facts_as(TrainFacts) for stage in training_stages(view, arm)]
    return [one.reference.mode if one.reference else None for one in facts]


def _methods(view: ComparisonView, arm: str) -> list[str]:
    return [method_name(view, stage) for stage in training_stages(view, arm)]


def attribution_table(view: ComparisonView, pair: Primary | None) -> Table | None:
    """The difference of the primary arms, split into parts that add up; needs the control arm."""
    split = split_of(view, pair)
    if split is None:
        return None
    rows = tuple(
        (
            Cell(cost_title(view, quantity)),
            *(
                Cell(value, quantity.kind, reason=_why_not(view, quantity))
                for value in _parts(view, split, quantity)
            ),
        )
        for quantity in COSTS
    )
    before = " then ".join(method_title(view, s) for s in training_stages(view, split.longer)[:-1])
    columns = (
        "quantity",
        split.longer,
        split.single,
        "difference",
        f"of it: a stage more ({before})" if before else "of it: a stage more",
        "of it: reference",
        "of it: implementation",
    )
    note = _note(view, split)
    return Table("attribution", "Where the difference comes from", columns, rows, (note,))


def _why_not(view: ComparisonView, quantity: Quantity) -> str:
    return BY_KIND if quantity.timed and view.mixed_fleet else "some stage did not measure it"


def _note(view: ComparisonView, split: Split) -> str:
    last, single = (training_stages(view, arm)[-1] for arm in (split.control, split.single))
    trained = [stage.facts_as(TrainFacts).sequences for stage in (last, single)]
    alike = (
        len({one.with_gradient_per_pair for one in trained if one is not None}) == 1 and None not in trained
    )
    expected = (
        "; both forward and backward the same sequences a pair, so it should be near zero" if alike else ""
    )
    caution = (
        " Host memory holds the imports and does not repeat exactly, so its split says little."
        if memory_kind(view) == MemoryKind.HOST
        else ""
    )
    return (
        f"Mean over seeds. Reference: the last stage of {split.longer} less that of {split.control}, whose "
        "reference's log-probs were computed before, that pass left out. Implementation: the last stage of "
        f"{split.control} without any reference pass less {split.single}{expected}. Of memory, an arm's "
        f"figure is the maximum over its stages, so the stages before add none.{caution}"
    )


def _parts(view: ComparisonView, split: Split, quantity: Quantity) -> list[float | None]:
    """Both arms, their difference, and its three parts, which add up to it; none over kinds of device."""
    if quantity.timed and view.mixed_fleet:
        return [None] * 6
    longer, single = (
        _mean(view, arm, quantity, lambda cell: cell_cost(view.stages_of(cell), quantity)[0])
        for arm in (split.longer, split.single)
    )
    in_loop = _mean(
        view, split.longer, quantity, lambda cell: charged_value(view.stages_of(cell)[-1], quantity)
    )
    bare = _mean(
        view, split.control, quantity, lambda cell: _without_pass(view.stages_of(cell)[-1], quantity)
    )
    if longer is None or single is None or in_loop is None or bare is None:
        return [longer, single, *[None] * 4]
    return [longer, single, longer - single, longer - in_loop, in_loop - bare, bare - single]


def _mean(
    view: ComparisonView, arm: str, quantity: Quantity, figure: Callable[[PlannedCell], float | None]
) -> float | None:
    figures = [figure(cell) for cell in view.cells_of(arm) if counts(view, cell, quantity)]
    known = [value for value in figures if value is not None]
    return sum(known) / len(known) if known and len(known) == len(figures) else None


def _without_pass(stage: StageResult, quantity: Quantity) -> float | None:
    """A stage's figure less its reference's pass before training; of bytes the figure itself."""
    figure = charged_value(stage, quantity)
    if figure is None or quantity not in APART:
        return figure
    before = charged_value(stage, APART[quantity])
    return None if before is None else figure - before
