"""A finished plan with more scoring: new stages on the same trained models, old scores kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.pipeline.plan import PlanBuilder, Resolved
from harness.pipeline.spec import ComparisonSpec
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
    builder = PlanBuilder(spec, resolved, label)
    builder.stages = dict(plan.stages)
    check = builder.check(plan.prepare)
    earlier = [d for d in (plan.base_evaluate, *plan.base_more) if d]
    base = builder.evaluate("base", 0, plan.prepare, None, earlier)
    new, cells, scored = [check, base], [], []
    for cell in plan.cells:
        if cell.repeat:
            cells.append(cell)
            continue
        answered = [d for d in (cell.evaluate, *cell.more) if d]
        digest = builder.evaluate(cell.arm, cell.seed, plan.prepare, cell.stages[-1], answered)
        new.append(digest)
        cells.append(cell.model_copy(update={"more": [*cell.more, digest]}))
        scored.append(cell.model_copy(update={"evaluate": digest}))
    judge = builder.judge(plan.prepare, base, scored)
    new += [judge] if judge else []
    longer = plan.model_copy(
        update={
            "stages": builder.stages,
            "order": list(dict.fromkeys([*plan.order, *new])),
            "cells": cells,
            "base_more": [*plan.base_more, base],
            "more_judges": [*plan.more_judges, *([judge] if judge else [])],
        }
    )
    return Rescored(longer, list(dict.fromkeys(new)))


def with_earlier_scores(record: ComparisonRecord, earlier: ComparisonRecord | None) -> ComparisonRecord:
    """`record` of a comparison that ran again, with what was scored after it had first finished."""
    if earlier is None or earlier.id != record.id:
        return record
    more = {(cell.arm, cell.seed, cell.repeat): cell.more for cell in earlier.plan.cells}
    cells = [
        cell.model_copy(update={"more": more.get((cell.arm, cell.seed, cell.repeat), [])})
        for cell in record.plan.cells
    ]
    added = [d for d in earlier.plan.order if d not in record.plan.stages and d in earlier.results]
    plan = record.plan.model_copy(
        update={
            "cells": cells,
            "base_more": earlier.plan.base_more,
            "more_judges": earlier.plan.more_judges,
            "order": [*record.plan.order, *added],
            "stages": {**record.plan.stages, **{d: earlier.plan.stages[d] for d in added}},
        }
    )
    results = {**record.results, **{d: earlier.results[d] for d in added}}
    uses = {**record.uses, **{d: earlier.uses[d] for d in added}}
    return record.model_copy(update={"plan": plan, "results": results, "uses": uses})
