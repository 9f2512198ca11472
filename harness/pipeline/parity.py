"""What is equal across arms and what is not: pure, over what stages recorded.

The same checks run before training, on the rehearsals, and after it, on the training stages. Each
is equal, unequal or unknown, and an unequal one stops the run unless the comparison's
`allow_unequal` names it, or a method that has only TRL's trainer leaves no choice; the report then labels
every figure that it touches.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.pipeline._parity_checks import CHECKS, Check
from harness.pipeline._parity_devices import NAME as DEVICE
from harness.pipeline._parity_devices import device
from harness.pipeline._parity_packages import probed_pairs
from harness.pipeline._parity_special import special_checks, stated_tuning
from harness.pipeline._parity_weights import lacks
from harness.records import Environment, ParityCheck, Plan, RehearseFacts, StageResult, TrainFacts

__all__ = ["CHECKS", "Sighting", "audit", "audit_before", "audit_planned", "violations"]

FORCED = " (TRL has the only trainer of some of these methods, so that they cannot be equal)"


@dataclass(frozen=True)
class Sighting:
    """What one stage was seen to do. `on_pairs`: it trains on the pairs, not on SFT data of its own."""

    name: str
    seed: int
    on_pairs: bool
    facts: TrainFacts
    environment: Environment


def audit_planned(plan: Plan) -> list[ParityCheck]:
    """What the plan alone answers, before anything is run."""
    return _judged(plan, {check.check: check for check in stated_tuning(plan)}, ())


def audit_before(plan: Plan, results: Mapping[str, StageResult]) -> list[ParityCheck]:
    """The audit before training, from the plan, the prepared data and the rehearsals."""
    seen = []
    for digest in plan.rehearsals:
        stage = results[digest].facts_as(RehearseFacts).stage if digest in results else None
        if stage is not None:
            config = plan.stages[digest].config
            name = f"{config['stage']} of {', '.join(config['arms'])}"
            seen.append(_sighting(name, results[digest], stage, config["job"]))
    return _audit(plan, results, seen, trained=False)


def audit(
    plan: Plan, results: Mapping[str, StageResult], probed: Mapping[str, str] | None = None
) -> list[ParityCheck]:
    """The audit after training, from what the training stages recorded.

    `probed` maps the training stages to the held-out pairs that their probes read.
    """
    trained = [d for d in plan.order if plan.stages[d].kind == "train" and d in results]
    seen = [
        _sighting(results[d].name, results[d], results[d].facts_as(TrainFacts), plan.stages[d].config)
        for d in trained
    ]
    return _audit(plan, results, seen, trained=True, probed=probed)


def violations(checks: Iterable[ParityCheck]) -> list[ParityCheck]:
    """What stops a run."""
    return [check for check in checks if check.equal is False and check.stops and not check.allowed]


def _sighting(name: str, result: StageResult, facts: TrainFacts, job: Mapping[str, Any]) -> Sighting:
    return Sighting(name, result.seed, not job.get("sft_data"), facts, result.environment)


def _audit(
    plan: Plan,
    results: Mapping[str, StageResult],
    seen: Sequence[Sighting],
    *,
    trained: bool,
    probed: Mapping[str, str] | None = None,
) -> list[ParityCheck]:
    checks = {name: _compare(name, check, seen) for name, check in CHECKS.items() if check.read is not None}
    forced = {name for name, found in checks.items() if found.equal is False and _is_forced(name, seen)}
    checks |= special_checks(plan, results, seen, trained=trained)
    checks[DEVICE] = device(plan, results, seen, trained=trained)
    if trained:
        checks["probed_pairs"] = probed_pairs(plan, results, probed or {})
    return _judged(plan, checks, forced)


def _judged(plan: Plan, checks: Mapping[str, ParityCheck], forced: Collection[str]) -> list[ParityCheck]:
    """What was found, with what it touches, whether it stops the run, and what the comparison allows."""
    allowed = {*(plan.spec.get("allow_unequal") or []), *forced}
    return [
        checks[name].model_copy(
            update={
                "detail": checks[name].detail + (FORCED if name in forced else ""),
                "remedy": check.remedy if checks[name].equal is False else None,
                "touches": list(check.touches),
                "stops": check.stops,
                "allowed": name in allowed and checks[name].equal is False,
            }
        )
        for name, check in CHECKS.items()
        if name in checks
    ]


def _is_forced(name: str, seen: Sequence[Sighting]) -> bool:
    """Whether a check fails by stages alone whose method has one trainer, and it is of the trainer."""
    free = [one for one in seen if one.facts.about is None or one.facts.about.only is None]
    return CHECKS[name].of_trainer and _compare(name, CHECKS[name], free).equal is not False


def _compare(name: str, check: Check, seen: Sequence[Sighting]) -> ParityCheck:
    """One value over all stages that the check is about, or over those of each seed."""
    assert check.read is not None
    values: dict[str, str] = {}
    groups: dict[Any, dict[str, list[str]]] = {}
    missing, silent = False, list[str]()
    for one in seen:
        if not _concerns(check, one):
            continue
        value = check.read(one.facts, one.environment)
        if value is None and lacks(one.facts):
            silent.append(one.name)
            continue
        if value is None:
            missing = missing or not check.may_lack
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        values[one.name] = text
        groups.setdefault(one.seed if check.by_seed else None, {}).setdefault(text, []).append(one.name)
    unequal = next((g for g in groups.values() if len(g) > 1), None)
    if unequal is not None:
        detail = "; ".join(f"{text}: {_stages(names)}" for text, names in unequal.items())
        return ParityCheck(check=name, equal=False, detail=detail, values=values)
    if (check.may_lack or silent) and not missing and not values and seen:
        return ParityCheck(check=name, equal=True, detail="no stage has one")
    if missing or not values:
        return ParityCheck(check=name, equal=None, detail="not every stage recorded it", values=values)
    detail = f"equal within each of {len(groups)} seed(s)" if check.by_seed else next(iter(values.values()))
    if silent and not check.may_lack:
        detail += f"; does not apply to {_stages(silent)}"
    return ParityCheck(check=name, equal=True, detail=detail, values=values)


def _stages(names: Sequence[str]) -> str:
    """The stages' names, those of several seeds and repeats once."""
    return ", ".join(dict.fromkeys(name.partition("@")[0] for name in names))


def _concerns(check: Check, one: Sighting) -> bool:
    """Whether the check compares this stage: all, those on the pairs, or those with rejected answers."""
    if check.among == "all":
        return True
    batches = one.facts.batches
    has_rejected = batches is None or batches.rejected_ids is not None
    return one.on_pairs and (check.among == "pairs" or has_rejected)
