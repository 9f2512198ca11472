"""From a checked spec to the stages that answer it: pure, and the same every time.

    prepare ──> check, rehearse sft, rehearse dpo, rehearse orpo, rehearse scoring
       │
       ├──> train sft ──> train dpo ──> evaluate (sft_dpo, seed) ──┐
       ├──> train orpo ──────────────> evaluate (orpo, seed) ──────┼──> judge
       └──> evaluate (base) ───────────────────────────────────────┘

A stage starts from the one before it, or from an earlier one that it names, and may read a further one:
`sft_rlhf` goes train sft ──> train reward_model, and train rloo from sft beside that reward model.

A stage's digest covers what can change its result and nothing else (`records/covers.py` names the parts).
Its name and the arms that use it are not part of it, so equal stages are one stage.
"""

from __future__ import annotations

import random
from typing import Any

from harness.errors import UserError
from harness.pipeline.covers import digest_of
from harness.pipeline.lineage import models_of, start_of
from harness.pipeline.load import stage_config
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ArmSpec, ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.pipeline.sweep import points
from harness.records import EndRule, Plan, PlannedCell


def plan_comparison(spec: ComparisonSpec, resolved: Resolved) -> Plan:
    """Expand arms and seeds into stages, deduplicate them by digest, and order them.

    Raises UserError for a sweep, each of whose points has a plan of its own.
    """
    if spec.sweep:
        first = " ".join(f"--set {name}={value}" for name, value in points(spec.sweep)[0].items())
        raise UserError(
            f"{spec.name} is a sweep of {len(points(spec.sweep))} points",
            remedy=f"use compare or plan, or take one point: --set sweep={{}} {first}",
        )
    plans = StagePlans(spec, resolved)
    prepare = plans.prepare()
    check, rehearsals = plans.check(prepare), _rehearsals(plans, prepare)
    scoring = plans.rehearse_evaluate(prepare) if spec.score else None
    cells: list[PlannedCell] = []
    blocks: list[list[str]] = []
    for repeat in range(spec.repeats):
        for seed in spec.seeds:
            arms_now = _block_order(spec, seed, repeat)
            blocks.append([f"{arm.name}@{seed}" for arm in arms_now])
            cells += [cell_of(plans, arm, seed, prepare, scoring, repeat=repeat) for arm in arms_now]
    trained = dict.fromkeys(digest for cell in cells for digest in cell.stages)
    base = plans.evaluate("base", 0, prepare, None, rehearsal=scoring) if spec.score else None
    arms = [arm.name for arm in spec.arms]
    cells.sort(key=lambda cell: (arms.index(cell.arm), cell.seed, cell.repeat))
    evaluates = dict.fromkeys(digest for digest in (base, *(c.evaluate for c in cells)) if digest)
    judge = plans.judge(prepare, base, cells)
    ahead = [prepare, check, *rehearsals, *([scoring] if scoring else [])]
    order = [*ahead, *trained, *evaluates, *([judge] if judge else [])]
    body: dict[str, Any] = {"spec": spec.model_dump(mode="json", by_alias=True), "order": order}
    return Plan(
        id=f"{spec.name}-{digest_of(body)[:10]}",
        name=spec.name,
        spec=body["spec"],
        stages={digest: plans.stages[digest] for digest in order},
        cells=cells,
        order=order,
        prepare=prepare,
        check=check,
        rehearsals=rehearsals,
        rehearse_evaluate=scoring,
        blocks=blocks,
        base_evaluate=base,
        judge=judge,
    )


def _block_order(spec: ComparisonSpec, seed: int, repeat: int) -> list[ArmSpec]:
    """The arms of one block in a random order that the spec alone decides.

    Every block holds every arm once, so that a drift of the machine meets all arms alike.
    """
    arms = list(spec.arms)
    random.Random(f"{spec.name}/{seed}/{repeat}").shuffle(arms)
    return arms


def _rehearsals(plans: StagePlans, prepare: str) -> list[str]:
    """One of every distinct training stage, in the order in which arms need them.

    A stage that goes on from adapters needs those of the rehearsal before it; one that goes
    on from full weights is as large and as fast from the base model.
    """
    users: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    jobs: dict[tuple[str, ...], dict[str, Any]] = {}
    for arm in plans.spec.arms:
        adapted: dict[str, tuple[str, ...]] = {}
        for stage in arm.stages:
            job = plans.job(arm, stage.stage_name)
            has_adapters = bool(job["config"]["lora"])
            goes_on = adapted.get(start_of(arm, stage) or "", ()) if has_adapters else ()
            chain = (*goes_on, digest_of(job))
            if has_adapters:
                adapted[stage.stage_name] = chain
            users.setdefault(chain, []).append((arm.name, stage.stage_name))
            jobs[chain] = job
    planned: dict[tuple[str, ...], str] = {}
    for chain, job in jobs.items():
        before = planned.get(chain[:-1])
        needs = {"prepared": prepare, **({"model": before} if before else {})}
        planned[chain] = plans.rehearse(job, users[chain], needs)
    return list(dict.fromkeys(planned.values()))


def cell_of(
    plans: StagePlans,
    arm: ArmSpec,
    seed: int,
    prepare: str,
    scoring: str | None,
    *,
    repeat: int = 0,
    ends: EndRule | None = None,
) -> PlannedCell:
    """The training stages of an arm at a seed, each from the one that it names or the one before it, and the
    evaluation of the last, which `ends` may end."""
    made: dict[str, str] = {}
    for stage in arm.stages:
        needs = {"prepared": prepare, **models_of(arm, stage, stage_config(plans.spec, stage), made)}
        rule = ends if stage is arm.stages[-1] else None
        made[stage.stage_name] = plans.train(arm, stage.stage_name, seed, repeat, needs, ends=rule)
    digests = list(made.values())
    evaluate = None
    if plans.spec.score and not repeat:
        evaluate = plans.evaluate(arm.name, seed, prepare, digests[-1], rehearsal=scoring)
    return PlannedCell(arm=arm.name, seed=seed, stages=digests, evaluate=evaluate, repeat=repeat)
