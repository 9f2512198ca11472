"""Trials of a search as a plan: arms with drawn settings, trained and scored on development pairs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.pipeline.plan import cell_of
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.pipeline.tuning_draws import Drawn, with_settings
from harness.records import EndRule, Plan, PlannedStage


@dataclass(frozen=True)
class Draw:
    """A trial that is to be made: number `number` (from 1) of an arm, whose last stage `ends` may end."""

    arm: str
    number: int
    settings: Drawn
    ends: EndRule | None = None


def for_trials(spec: ComparisonSpec) -> ComparisonSpec:
    """The comparison as its trials see it: one seed, one benchmark, development pairs, no questions."""
    tuning = spec.tuning
    assert tuning is not None, "only a comparison with tuning has trials"
    return spec.model_copy(
        update={
            "name": f"{spec.name[:70]}-trials",
            "development": True,
            "seeds": [tuning.seed],
            "repeats": 1,
            "score": [tuning.benchmark],
            "benchmarks": {k: v for k, v in spec.benchmarks.items() if k == tuning.benchmark},
            "questions": [],
            "aggregates": {},
            "looks": None,
            "look": None,
            "sweep": {},
        }
    )


def plan_trials(spec: ComparisonSpec, resolved: Resolved, draws: Sequence[Draw], *, run_id: str) -> Plan:
    """One trial of each of some arms. Nothing is rehearsed: the comparison's stages were, and settings of a
    search change no shape. Stages that trials share are one stage, in this plan and in all others."""
    by_arm = {draw.arm: draw for draw in draws}
    arms = [with_settings(arm, by_arm[arm.name].settings) if arm.name in by_arm else arm for arm in spec.arms]
    spec = spec.model_copy(update={"arms": arms})
    plans = StagePlans(spec, resolved)
    prepare = plans.prepare()
    scoring = plans.rehearse_evaluate(prepare)
    base = plans.evaluate("base", 0, prepare, None, rehearsal=scoring)
    drawn = [arm for arm in arms if arm.name in by_arm]
    cells = [
        cell_of(plans, arm, spec.seeds[0], prepare, scoring, ends=by_arm[arm.name].ends) for arm in drawn
    ]
    trained = dict.fromkeys(digest for cell in cells for digest in cell.stages)
    evaluates = dict.fromkeys(cell.evaluate for cell in cells if cell.evaluate)
    order = [prepare, scoring, base, *trained, *evaluates]
    return Plan(
        id=run_id,
        name=spec.name,
        spec=spec.model_dump(mode="json", by_alias=True),
        stages={digest: _named(plans.stages[digest], by_arm) for digest in order},
        cells=cells,
        order=order,
        prepare=prepare,
        rehearse_evaluate=scoring,
        base_evaluate=base,
    )


def _named(stage: PlannedStage, by_arm: dict[str, Draw]) -> PlannedStage:
    """The stage, called after its trial where it is of one."""
    draw = by_arm.get(stage.arm or "")
    if draw is None:
        return stage
    return stage.model_copy(update={"name": f"{stage.name.partition('@')[0]} of trial {draw.number}"})
