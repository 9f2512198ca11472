"""What of a plan can still be compared once some of its stages have failed. Pure.

Arms are compared at equal seeds alone: a seed at which one arm failed is left out for all of them, and an
arm that finished nowhere is left out itself. What is left is a plan like any other, so that no figure is a
mean over another set of seeds than its neighbour, and nothing downstream has to know of failures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.records import FailedStage, MissingCell, Plan, PlannedCell


@dataclass(frozen=True)
class Remaining:
    """The smaller plan, whose judge compares what is left of the cells, and the cells that it lacks."""

    plan: Plan
    missing: list[MissingCell]


@dataclass(frozen=True)
class _Kept:
    arms: list[str]
    seeds: list[int]


def remaining(
    plan: Plan,
    spec: ComparisonSpec,
    resolved: Resolved,
    finished: Collection[str],
    failed: Mapping[str, FailedStage],
) -> Remaining | None:
    """`plan` without what cannot be compared; None where no cell is left.

    `finished` are digests of stages with a result, `failed` those that ended without one. The judge has not
    run yet.
    """
    whole = {_key(cell): _is_whole(cell, finished) for cell in plan.cells}
    kept = _largest(plan, whole)
    if kept is None:
        return None
    cells = [cell for cell in plan.cells if _block_is_whole(cell, kept, whole)]
    missing = [_missing(plan, cell, kept, whole, failed) for cell in plan.cells if cell not in cells]
    base = plan.base_evaluate if plan.base_evaluate in finished else None
    plans = StagePlans(spec, resolved)
    plans.stages = dict(plan.stages)
    judge = plans.judge(plan.prepare, base, [cell for cell in cells if not cell.repeat])
    rehearsals = [d for d in plan.rehearsals if set(plan.stages[d].config["arms"]) & set(kept.arms)]
    of_cells = [d for cell in cells for d in (*cell.stages, cell.evaluate) if d]
    needed = {plan.prepare, plan.check, *rehearsals, plan.rehearse_evaluate, *of_cells, base}
    order = [*(digest for digest in plan.order if digest in needed), *([judge] if judge else [])]
    smaller = plan.model_copy(
        update={
            "spec": _smaller_spec(plan, kept),
            # What failed stays known by its name and settings.
            "stages": {d: stage for d, stage in plans.stages.items() if d in order or d != plan.judge},
            "cells": cells,
            "order": order,
            "rehearsals": rehearsals,
            "blocks": _blocks(plan, cells),
            "base_evaluate": base,
            "judge": judge,
        }
    )
    return Remaining(smaller, missing)


def _key(cell: PlannedCell) -> tuple[str, int, int]:
    return cell.arm, cell.seed, cell.repeat


def _is_whole(cell: PlannedCell, finished: Collection[str]) -> bool:
    return all(d in finished for d in cell.stages) and (cell.evaluate is None or cell.evaluate in finished)


def _largest(plan: Plan, whole: Mapping[tuple[str, int, int], bool]) -> _Kept | None:
    """All arms that finished somewhere, at the seeds at which all of them did.

    Where there is no such seed, the arm with the fewest finished seeds goes, the last of them first.
    """
    arms = [arm["name"] for arm in plan.spec["arms"]]
    count = {arm: sum(whole.get((arm, seed, 0), False) for seed in plan.spec["seeds"]) for arm in arms}
    arms = [arm for arm in arms if count[arm]]
    while arms:
        seeds = [s for s in plan.spec["seeds"] if all(whole[arm, s, 0] for arm in arms)]
        if seeds:
            return _Kept(arms, seeds)
        fewest = min(count[arm] for arm in arms)
        arms.remove([arm for arm in arms if count[arm] == fewest][-1])
    return None


def _block_is_whole(cell: PlannedCell, kept: _Kept, whole: Mapping[tuple[str, int, int], bool]) -> bool:
    """Whether the cell is kept: ratios of cost are formed within blocks, so a repeat stays or goes whole."""
    if cell.arm not in kept.arms or cell.seed not in kept.seeds:
        return False
    return all(whole.get((arm, cell.seed, cell.repeat), False) for arm in kept.arms)


def _missing(
    plan: Plan,
    cell: PlannedCell,
    kept: _Kept,
    whole: Mapping[tuple[str, int, int], bool],
    failed: Mapping[str, FailedStage],
) -> MissingCell:
    of_cell = [*cell.stages, *([cell.evaluate] if cell.evaluate else [])]
    broken = next((failed[digest] for digest in of_cell if digest in failed), None)
    if broken is not None:
        why = f"{broken.name} {broken.cause}"
    elif not whole[_key(cell)]:
        why = "a stage that it needs has no result"
    elif cell.arm not in kept.arms:
        why = "finished, at no seed at which the other arms did"
    else:
        others = [arm for arm in kept.arms if not whole.get((arm, cell.seed, cell.repeat), False)]
        why = f"finished, but {' and '.join(others)} did not at this seed"
    return MissingCell(
        arm=cell.arm,
        seed=cell.seed,
        repeat=cell.repeat,
        finished=whole[_key(cell)],
        why=why,
        stages=[d for d in cell.stages if d in plan.stages],
        evaluate=cell.evaluate,
    )


def _smaller_spec(plan: Plan, kept: _Kept) -> dict[str, object]:
    arms = [arm for arm in plan.spec["arms"] if arm["name"] in kept.arms]
    return {**plan.spec, "arms": arms, "seeds": kept.seeds}


def _blocks(plan: Plan, cells: Sequence[PlannedCell]) -> list[list[str]]:
    """The order in which arms ran, of the cells that are left."""
    names = {f"{cell.arm}@{cell.seed}" for cell in cells}
    left = [[name for name in block if name in names] for block in plan.blocks]
    return [block for block in left if block]
