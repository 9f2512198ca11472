"""Parity of weights: what stages start from, hand over and are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from harness.records import (
    Environment,
    ParityCheck,
    Plan,
    PlannedStage,
    RehearseFacts,
    StageResult,
    TrainFacts,
)

HALF = 0.5
MODEL, REWARD = "model", "reward_model"


class Seen(Protocol):
    """One stage as it was seen."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def on_pairs(self) -> bool: ...
    @property
    def facts(self) -> TrainFacts: ...
    @property
    def environment(self) -> Environment: ...


def lacks(facts: TrainFacts) -> bool:
    """Whether a stage has no token of the pairs' answers to learn: it trains a reward, which is of whole
    sequences, or answers prompts itself. What it does not record of them is not missing."""
    about = facts.about
    return about is not None and (about.trains == "reward" or about.data == "prompts")


def check_of(
    name: str, equal: bool | None, detail: str, values: Mapping[str, str] | None = None
) -> ParityCheck:
    """A check's outcome before the audit adds its remedy and what it touches."""
    return ParityCheck(check=name, equal=equal, detail=detail, values=dict(values or {}))


def base_weights(plan: Plan, results: Mapping[str, StageResult], *, trained: bool) -> ParityCheck:
    """First stages start from the same weights; fresh adapters differ by seed alone.

    Fingerprints are compared within a form (dtype, quantisation, adapters): the same weights in
    two forms have two fingerprints, and the checks of the forms name that difference.
    """
    kind = "train" if trained else "rehearse"
    first = [
        (results[d], training_facts(results[d]))
        for d, stage in plan.stages.items()
        if stage.kind == kind and d in results and _starts_from_base(plan, stage.config, stage.needs, trained)
    ]
    values = {result.name: str(facts.weights_at_start) for result, facts in first}
    groups: dict[tuple[Any, ...], set[str]] = {}
    for result, facts in first:
        key = (result.seed, *_form(facts))
        groups.setdefault(key, set()).add(str(facts.weights_at_start))
    if any(len(fingerprints - {"None"}) > 1 for fingerprints in groups.values()):
        detail = "; ".join(f"{name}: {value}" for name, value in values.items())
        return check_of("base_weights", False, detail, values)
    if not first or "None" in values.values():
        return check_of("base_weights", None, "not every stage recorded it", values)
    seeds = {result.seed for result, _ in first}
    if len(groups) > len(seeds):
        return check_of("base_weights", None, "in different forms, which cannot be compared", values)
    return check_of("base_weights", True, f"equal within each of {len(seeds)} seed(s)", values)


def hand_over(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    """A later stage starts from exactly what the earlier one ended with, and reads the reward of another as
    it ended."""
    broken, unknown, values = [], [], {}
    for digest, stage, role in _handed(plan, results):
        earlier = results.get(stage.needs[role])
        before = training_facts(earlier) if earlier else None
        now = training_facts(results[digest])
        read = now.reward.weights if now.reward else None
        given, taken = (
            before.weights_at_end if before else None,
            read if role == REWARD else now.weights_at_start,
        )
        values[stage.name if role == MODEL else f"{stage.name}: {role}"] = f"{taken} after {given}"
        same_form = before is not None and _form(before) == _form(now)
        if given is None or taken is None or not same_form:
            unknown.append(stage.name)
        elif given != taken:
            broken.append(stage.name)
    if broken:
        return check_of("hand_over", False, f"{', '.join(broken)} started from other weights", values)
    if unknown:
        detail = f"{', '.join(unknown)}: not recorded, or in another form than what it started from"
        return check_of("hand_over", None, detail, values)
    detail = "weights' fingerprints equal" if values else "no arm has a second stage"
    return check_of("hand_over", True, detail, values)


def _handed(plan: Plan, results: Mapping[str, StageResult]) -> Iterator[tuple[str, PlannedStage, str]]:
    """Every model that a finished training stage took from another one, and what for."""
    for digest, stage in plan.stages.items():
        if stage.kind == "train" and digest in results:
            yield from ((digest, stage, role) for role in (MODEL, REWARD) if role in stage.needs)


def reference_is_start(seen: Sequence[Seen]) -> ParityCheck:
    """DPO is compared with the model that it starts from."""
    values, broken, unknown = {}, [], []
    for one in seen:
        if one.facts.reference is not None:
            start, reference = one.facts.weights_at_start, one.facts.reference.weights
            values[one.name] = f"{reference} from {start}"
            if start is None or reference is None:
                unknown.append(one.name)
            elif start != reference:
                broken.append(one.name)
    if broken:
        detail = f"{', '.join(broken)}: the reference is another model"
        return check_of("reference_is_start", False, detail, values)
    if unknown:
        return check_of("reference_is_start", None, f"{', '.join(unknown)} did not record it", values)
    detail = "the same weights" if values else "no stage has a reference"
    return check_of("reference_is_start", True, detail, values)


def weights_moved(seen: Sequence[Seen]) -> ParityCheck:
    """In no stage did fewer than half as many weights change as in another.

    In float32 nearly all change in every stage; in bfloat16 rounding freezes those whose updates are
    small, which depends on the learning rate and so on the method.
    """
    name = "weights_moved"
    updates = {one.name: one.facts.updates for one in seen}
    known = {stage: update.moved_share for stage, update in updates.items() if update is not None}
    values = {stage: f"{share:.2%}" for stage, share in known.items()}
    if not known or len(known) < len(updates):
        return check_of(name, None, "not every stage recorded it", values)
    least, most = min(known, key=lambda s: known[s]), max(known, key=lambda s: known[s])
    detail = f"{values[least]} of the weights changed in {least}, {values[most]} in {most}"
    return check_of(name, known[least] >= HALF * known[most], detail, values)


def _starts_from_base(plan: Plan, config: Mapping[str, Any], needs: Mapping[str, str], trained: bool) -> bool:
    """After training: stages without a model of their own. Before: first stages of some arm."""
    if trained:
        return "model" not in needs
    first = {
        (arm["name"], arm["stages"][0].get("name") or arm["stages"][0]["method"]) for arm in plan.spec["arms"]
    }
    return any((arm, config["stage"]) in first for arm in config["arms"])


def training_facts(result: StageResult) -> TrainFacts:
    """What a training stage recorded, or its rehearsal; nothing where that did not fit."""
    if isinstance(result.facts, RehearseFacts):
        return result.facts.stage or TrainFacts()
    return result.facts_as(TrainFacts)


def _form(facts: TrainFacts) -> tuple[str, ...]:
    return (str(facts.dtype), str(facts.quantization), str(facts.tuning))
