"""A finished plan with an export of one cell: the stage that writes it and the one that scores it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.records import ComparisonRecord, Plan, PlannedCell, StageResult


@dataclass(frozen=True)
class Exported:
    """The longer plan, and the digests of what writes, scores and times the export."""

    plan: Plan
    export: str
    evaluate: str
    speed: str


def exported(plan: Plan, spec: ComparisonSpec, resolved: Resolved, cell: PlannedCell, form: str) -> Exported:
    """`plan` with `cell` written in `form` and scored by the run's own benchmarks, its answers made anew."""
    plans = StagePlans(spec, resolved)
    plans.stages = dict(plan.stages)
    export = plans.export(cell.arm, cell.seed, plan.prepare, cell.stages[-1], form)
    rehearsal = plan.rehearse_evaluate if plans.decides(plan.rehearse_evaluate) else None
    evaluate = plans.evaluate(cell.arm, cell.seed, plan.prepare, export, rehearsal=rehearsal, exported=form)
    speed = plans.speed(cell.arm, cell.seed, plan.prepare, cell.stages[-1], export, form)
    order = [*plan.order, export, evaluate, speed]
    longer = plan.model_copy(update={"stages": plans.stages, "order": list(dict.fromkeys(order))})
    return Exported(longer, export, evaluate, speed)


def side_by_side(
    record: ComparisonRecord, cell: PlannedCell, made: Exported, results: Mapping[str, StageResult], name: str
) -> ComparisonRecord:
    """A record of two arms at one seed: the cell as it was trained, and `name`, its export."""
    other = cell.model_copy(update={"arm": name, "evaluate": made.evaluate, "more": []})
    kept = {made.plan.prepare, *cell.stages, cell.evaluate, made.evaluate}
    first = next(arm for arm in record.plan.spec["arms"] if arm["name"] == cell.arm)
    names = {"arms": [first, {**first, "name": name}], "seeds": [cell.seed], "baseline": cell.arm}
    spec = {**record.plan.spec, **names, "cost_reference": cell.arm, "questions": []}
    plan = made.plan.model_copy(
        update={
            "spec": spec,
            "cells": [cell.model_copy(update={"more": []}), other],
            "base_evaluate": None,
            "judge": None,
            "base_more": [],
            "more_judges": [],
        }
    )
    found = {digest: result for digest, result in results.items() if digest in kept}
    return record.model_copy(update={"plan": plan, "results": found, "failed": [], "missing": []})
