"""A finished plan with more scoring: new stages on the same trained models, old scores kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.records import ComparisonRecord, Plan


@dataclass(frozen=True)
class Rescored:
    """The longer plan, and the digests of what is new in the order to run."""

    plan: Plan
    new: list[str]


def rescored(plan: Plan, spec: ComparisonSpec, resolved: Resolved, label: str | None) -> Rescored:
    """`plan` with stages that score its cells by `spec.score`.

    `label` names the scores apart from those of the same benchmark that are there already. What an
    earlier stage answered at equal settings is not generated again.
    """
    plans = StagePlans(spec, resolved, label)
    plans.stages = dict(plan.stages)
    check, rehearsal = plans.check(plan.prepare), _rehearsal(plans, plan)
    earlier = [d for d in (plan.base_evaluate, *plan.base_more) if d]
    base = plans.evaluate("base", 0, plan.prepare, None, rehearsal=rehearsal, answers=earlier)
    new, cells, scored = [check, *([rehearsal] if rehearsal else []), base], [], []
    for cell in plan.cells:
        if cell.repeat:
            cells.append(cell)
            continue
        answered = [d for d in (cell.evaluate, *cell.more) if d]
        digest = plans.evaluate(
            cell.arm, cell.seed, plan.prepare, cell.stages[-1], rehearsal=rehearsal, answers=answered
        )
        new.append(digest)
        cells.append(cell.model_copy(update={"more": [*cell.more, digest]}))
        scored.append(cell.model_copy(update={"evaluate": digest}))
    judge = plans.judge(plan.prepare, base, scored)
    new += [judge] if judge else []
    longer = plan.model_copy(
        update={
            "stages": plans.stages,
            "order": list(dict.fromkeys([*plan.order, *new])),
            "cells": cells,
            "base_more": [*plan.base_more, base],
            "more_judges": [*plan.more_judges, *([judge] if judge else [])],
        }
    )
    return Rescored(longer, list(dict.fromkeys(new)))


def _rehearsal(plans: StagePlans, plan: Plan) -> str | None:
    """What decides the engine of answers, where a trial has to: that which decided it for the old scores."""
    if not plans.undecided:
        return None
    before = plan.rehearse_evaluate
    return before if plans.decides(before) else plans.rehearse_evaluate(plan.prepare)


def with_earlier_scores(record: ComparisonRecord, earlier: ComparisonRecord | None) -> ComparisonRecord:
    """`record` of a comparison that ran again, with what was scored after it had first finished.

    Scores of a stage that has run again since are left out: they are another model's.
    """
    if earlier is None or earlier.id != record.id:
        return record
    kept = _still_valid(record, earlier)
    more = {(cell.arm, cell.seed, cell.repeat): cell.more for cell in earlier.plan.cells}
    cells = [
        cell.model_copy(
            update={"more": [d for d in more.get((cell.arm, cell.seed, cell.repeat), []) if d in kept]}
        )
        for cell in record.plan.cells
    ]
    plan = record.plan.model_copy(
        update={
            "cells": cells,
            "base_more": [d for d in earlier.plan.base_more if d in kept],
            "more_judges": [d for d in earlier.plan.more_judges if d in kept],
            "order": [*record.plan.order, *kept],
            "stages": {**record.plan.stages, **{d: earlier.plan.stages[d] for d in kept}},
        }
    )
    results = {**record.results, **{d: earlier.results[d] for d in kept}}
    uses = {**record.uses, **{d: earlier.uses[d] for d in kept}}
    return record.model_copy(update={"plan": plan, "results": results, "uses": uses})


def _still_valid(record: ComparisonRecord, earlier: ComparisonRecord) -> list[str]:
    """The stages that only `earlier` has and all of whose inputs are what they were, in order."""
    same = {
        digest
        for digest, result in record.results.items()
        if digest in earlier.results and earlier.results[digest].finished_at == result.finished_at
    }
    kept: list[str] = []
    # What compared or scored the cells that were left of a run in which stages failed is no later score.
    own = {earlier.plan.judge, earlier.plan.base_evaluate, *(cell.evaluate for cell in earlier.plan.cells)}
    for digest in earlier.plan.order:
        added = digest not in record.plan.stages and digest in earlier.results and digest not in own
        if added and set(earlier.plan.stages[digest].needs.values()) <= same | set(kept):
            kept.append(digest)
    return kept
