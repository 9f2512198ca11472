"""A finished plan in which some cells answer more prompts, which nothing scores. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.records import Plan, PlannedCell


@dataclass(frozen=True)
class Answering:
    """The longer plan, and the digests of the stages that answer, in the order of the cells."""

    plan: Plan
    answering: list[str]


def asked(plan: Plan, spec: ComparisonSpec, resolved: Resolved, cells: Sequence[PlannedCell]) -> Answering:
    """`plan` with a stage for each of `cells` that answers the prompts of `spec.score`."""
    plans = StagePlans(spec, resolved)
    plans.stages = dict(plan.stages)
    new, rehearsal = list[str](), None
    if plans.undecided:
        before = plan.rehearse_evaluate
        rehearsal = before if plans.decides(before) else plans.rehearse_evaluate(plan.prepare)
        new += [] if rehearsal in plan.order else [str(rehearsal)]
    answering = [
        plans.evaluate(cell.arm, cell.seed, plan.prepare, cell.stages[-1], rehearsal=rehearsal)
        for cell in cells
    ]
    order = [*plan.order, *new, *answering]
    longer = plan.model_copy(update={"stages": plans.stages, "order": list(dict.fromkeys(order))})
    return Answering(longer, [*new, *answering])
