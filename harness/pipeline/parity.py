"""What was equal across arms, and what was not: pure, over what the stages recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.records import ParityCheck, Plan, StageResult

Value = Callable[[StageResult], Any]


def audit(plan: Plan, results: Mapping[str, StageResult]) -> list[ParityCheck]:
    """One check a property; `equal` is None where no stage recorded it."""
    trained = {d: r for d, r in results.items() if plan.stages[d].kind == "train"}
    prepared = results[plan.prepare].facts
    checks = [
        _same("data type", trained, lambda r: r.facts.get("dtype")),
        _same("attention backend", trained, lambda r: r.facts.get("attention")),
        _same("effective batch in pairs", trained, lambda r: r.facts.get("effective_batch_pairs")),
        _same("micro-batch in pairs", trained, lambda r: r.facts.get("micro_batch_pairs")),
        _same("optimizer", trained, lambda r: r.facts.get("optimizer")),
        _same("schedule", trained, lambda r: r.facts.get("schedule")),
        _same("epochs", trained, lambda r: r.facts.get("epochs")),
        _same("full or LoRA", trained, lambda r: r.facts.get("tuning")),
        _same("gradient checkpointing", trained, lambda r: r.facts.get("gradient_checkpointing")),
        _same("NLL scope", trained, lambda r: r.facts.get("nll_scope")),
        _same("device", trained, lambda r: r.environment.gpu_uuid or r.environment.device_name),
        _same("git commit", trained, lambda r: r.environment.git_commit),
        _same("installed packages", trained, lambda r: r.environment.lock_digest),
        *_by_seed("pairs in order", plan, trained, "ids_in_order"),
        *_by_seed("token ids of prompt and chosen", plan, trained, "token_ids"),
        *_base_weights(plan, trained),
        _hand_over(plan, results),
        _git_clean(trained),
    ]
    return [*checks, *_prepared_checks(prepared), _sft_source(prepared), _tuning(plan)]


def _same(name: str, stages: Mapping[str, StageResult], value: Value) -> ParityCheck:
    found: dict[str, list[str]] = {}
    for result in stages.values():
        given = value(result)
        if given is not None:
            found.setdefault(str(given), []).append(result.name)
    if not found:
        return ParityCheck(check=name, equal=None, detail="no stage recorded it")
    if len(found) == 1:
        return ParityCheck(check=name, equal=True, detail=next(iter(found)))
    detail = "; ".join(f"{given}: {', '.join(names)}" for given, names in found.items())
    return ParityCheck(check=name, equal=False, detail=detail)


def _by_seed(name: str, plan: Plan, stages: Mapping[str, StageResult], fact: str) -> list[ParityCheck]:
    """Equal among the stages of each seed that train on the pairs."""
    pairs = {d: r for d, r in stages.items() if not plan.stages[d].config.get("sft_data")}
    if any(r.facts.get("method") == "StockORPO" for r in pairs.values()):
        note = "stock TRL ORPO tokenises for itself and was not compared"
        if fact == "token_ids":
            return [ParityCheck(check=name, equal=None, detail=note)]
    seeds = sorted({r.seed for r in pairs.values()})
    per_seed = [
        _same(name, {d: r for d, r in pairs.items() if r.seed == s}, lambda r: r.facts.get(fact))
        for s in seeds
    ]
    unequal = [c for c in per_seed if not c.equal]
    if unequal:
        return [ParityCheck(check=name, equal=unequal[0].equal, detail=unequal[0].detail)]
    return [ParityCheck(check=name, equal=True, detail=f"equal within each of {len(seeds)} seeds")]


def _base_weights(plan: Plan, stages: Mapping[str, StageResult]) -> list[ParityCheck]:
    """Every arm starts from the same weights; fresh adapters differ by seed alone."""
    first = {d: r for d, r in stages.items() if "model" not in plan.stages[d].needs}
    groups = sorted({r.seed for r in first.values()})
    checks = [
        _same(
            "base weights",
            {d: r for d, r in first.items() if r.seed == seed},
            lambda r: r.facts.get("weights_at_start"),
        )
        for seed in groups
    ]
    unequal = next((c for c in checks if not c.equal), None)
    if unequal:
        return [unequal]
    return [ParityCheck(check="base weights", equal=True, detail="equal within each seed")]


def _hand_over(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    """A later stage starts from exactly what the earlier one ended with."""
    broken = []
    for digest, stage in plan.stages.items():
        if stage.kind != "train" or "model" not in stage.needs:
            continue
        given = results[stage.needs["model"]].facts.get("weights_at_end")
        if results[digest].facts.get("weights_at_start") != given:
            broken.append(stage.name)
    name = "second stage starts from the first one's weights"
    if broken:
        return ParityCheck(check=name, equal=False, detail=", ".join(broken))
    return ParityCheck(check=name, equal=True, detail="weights' fingerprints equal")


def _git_clean(stages: Mapping[str, StageResult]) -> ParityCheck:
    states = {r.environment.git_dirty for r in stages.values()}
    if None in states:
        return ParityCheck(check="clean git tree", equal=None, detail="not run from a git checkout")
    if True in states:
        return ParityCheck(check="clean git tree", equal=False, detail="uncommitted changes")
    return ParityCheck(check="clean git tree", equal=True, detail="no uncommitted changes")


def _prepared_checks(facts: Mapping[str, Any]) -> list[ParityCheck]:
    statistics = facts["statistics"]
    dropped = {**statistics["train"]["dropped"]}
    overlap = statistics["test_pairs_whose_prompt_is_in_train"]
    return [
        ParityCheck(
            check="tokenised once for all arms",
            equal=True,
            detail=f"chat template: {facts['chat_template_source']}, digest {facts['chat_template_digest']}",
        ),
        ParityCheck(
            check="dropped and truncated pairs",
            equal=True,
            detail=f"the same in every arm: dropped {dropped or 0}, "
            f"truncated {statistics['train']['truncated']}",
        ),
        ParityCheck(
            check="every response ends with a stop token",
            equal=bool(facts["every_response_ends_with_a_stop_token"]),
            detail=f"stop tokens {facts['stop_token_ids']}",
        ),
        ParityCheck(check="no doubled BOS", equal=not facts["doubled_bos"], detail="first two tokens"),
        ParityCheck(
            check="no test prompt in training",
            equal=overlap == 0,
            detail=f"{overlap} test pairs share a prompt with training",
        ),
    ]


def _sft_source(facts: Mapping[str, Any]) -> ParityCheck:
    own = facts["sft_data"]
    if not own:
        return ParityCheck(check="SFT source", equal=True, detail="the chosen answers of the same pairs")
    detail = "; ".join(f"{arm}: {source}" for arm, source in own.items())
    return ParityCheck(check="SFT source", equal=False, detail=f"external SFT data for {detail}")


def _tuning(plan: Plan) -> ParityCheck:
    trials = plan.spec.get("tuning_trials_per_arm") or {}
    name = "tuning trials per arm"
    if not trials:
        return ParityCheck(check=name, equal=None, detail="not stated (tuning_trials_per_arm)")
    detail = ", ".join(f"{arm} {count}" for arm, count in trials.items())
    return ParityCheck(check=name, equal=len(set(trials.values())) == 1, detail=detail)
