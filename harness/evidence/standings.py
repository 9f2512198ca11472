"""How a published claim stands on a run: supported, contradicted, not separable or not measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.evidence.contrasts import HOST_MEMORY, score_contrast
from harness.evidence.costs import MemoryKind, arm_cost, cost_ratio, memory_kind
from harness.evidence.scores import arm_score
from harness.evidence.statistics.estimate import ITEMS_TARGET, RUNS_TARGET, Estimate, mean_interval
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.view import BASE, ComparisonView
from harness.pipeline.claims import COUNTED, RISES, SETTINGS, Claim
from harness.quantities import (
    CATALOGUE,
    COST_NAMES,
    COSTS,
    LOG_ODDS_MARGIN,
    LOGP_CHOSEN,
    LOGP_REJECTED,
    PEAK_MEMORY,
)
from harness.records import ReferenceHolder, TrainFacts

EXACT = 1e-9
PROBES = {
    "logp_chosen_rise": LOGP_CHOSEN,
    "logp_rejected_rise": LOGP_REJECTED,
    "log_odds_margin_late_rise": LOG_ODDS_MARGIN,
}


class Standing(StrEnum):
    """What a run says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_SEPARABLE = "not separable"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class ClaimStanding:
    """A claim's quantity with its interval, and how the claim stands; `text` has the reason too."""

    estimate: Estimate
    standing: Standing
    text: str


def missing_arms(view: ComparisonView, claim: Claim) -> list[str]:
    """Arms of a claim that the run does not have."""
    return [arm for arm in (claim.a, claim.b) if arm is not None and arm not in (*view.arms, BASE)]


def standing_of(view: ComparisonView, claim: Claim) -> ClaimStanding:
    """The claim's quantity on this run, and how the claim stands."""
    if claim.quantity is None:
        return ClaimStanding(
            _nothing(claim.needs or ""), Standing.NOT_MEASURED, f"not measured: {claim.needs}"
        )
    estimate = _estimate(view, claim, claim.quantity)
    if estimate.value is None:
        return ClaimStanding(estimate, Standing.NOT_MEASURED, Standing.NOT_MEASURED.value)
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    lowest, highest = _bounds(claim)
    exact = (*COUNTED, *SETTINGS, *(quantity.name for quantity in COSTS if not quantity.timed))
    directed = 0.0 in (lowest, highest) and estimate.p is not None and estimate.p < LEVEL
    if estimate.low is None and not (claim.quantity in exact or estimate.identical or directed):
        return ClaimStanding(
            estimate, Standing.NOT_SEPARABLE, f"not separable: {estimate.reason or 'no interval'}"
        )
    if lowest - EXACT <= low and high <= highest + EXACT:
        standing = Standing.SUPPORTED
    elif high < lowest - EXACT or low > highest + EXACT:
        standing = Standing.CONTRADICTED
    else:
        standing = Standing.NOT_SEPARABLE
    return ClaimStanding(estimate, standing, standing.value)


def _bounds(claim: Claim) -> tuple[float, float]:
    """What is claimed, an open end being infinite."""
    assert claim.expected is not None
    low, high = claim.expected
    return -float("inf") if low is None else low, float("inf") if high is None else high


def _estimate(view: ComparisonView, claim: Claim, quantity: str) -> Estimate:
    absent = missing_arms(view, claim)
    if absent:
        return _nothing(f"{', '.join(absent)} is not in this comparison")
    if view.replayed and "." not in quantity:
        return _nothing("published outputs were scored, nothing was trained")
    if quantity in COST_NAMES:
        return _cost_ratio(view, claim, quantity)
    if quantity in RISES:
        return _rise(view, claim, quantity)
    if quantity in (*COUNTED, *SETTINGS):
        return _counted(view, claim, quantity)
    return _score(view, claim, quantity)


def _score(view: ComparisonView, claim: Claim, metric: str) -> Estimate:
    """The difference a - b of a score, or the score of `a` alone."""
    if view.random_weights:
        return _nothing("training began from random weights")
    if metric not in view.metrics():
        return _nothing(f"{metric} was not scored")
    if claim.b is None:
        return arm_score(view, claim.a, metric)
    one = score_contrast(view, metric, claim.a, claim.b)
    return one.estimate if one is not None else _nothing(f"{metric} was not scored for both")


def _rise(view: ComparisonView, claim: Claim, quantity: str) -> Estimate:
    """How far a held-out probe rose over an arm's training, less that of `b`; late: over its second half."""
    ours = _rises(view, claim.a, quantity)
    theirs = _rises(view, claim.b, quantity) if claim.b is not None else [0.0] * len(ours)
    if not ours or len(ours) != len(theirs):
        return _nothing("no held-out probes during training")
    return mean_interval([a - b for a, b in zip(ours, theirs, strict=True)], ITEMS_TARGET)


def _rises(view: ComparisonView, arm: str, quantity: str) -> list[float]:
    """One value a seed: last probe less first, or less the one in the middle."""
    rises = []
    probe = PROBES[quantity].name
    for cell in view.cells_of(arm):
        by_stage = [
            [row["metrics"][probe] for row in view.series.get(digest, []) if probe in row["metrics"]]
            for digest in cell.stages
        ]
        values = [value for stage in by_stage for value in stage]
        # What the arm started from and what it ended in both have to have been probed.
        late = quantity.endswith("late_rise")
        if by_stage[0] and by_stage[-1] and len(values) > (2 if late else 1):
            start = values[len(values) // 2] if late else values[0]
            rises.append(values[-1] - start)
    return rises


def _cost_ratio(view: ComparisonView, claim: Claim, name: str) -> Estimate:
    quantity = CATALOGUE[name]
    if quantity == PEAK_MEMORY and memory_kind(view) == MemoryKind.HOST:
        return _nothing(HOST_MEMORY)
    if claim.b is not None:
        return cost_ratio(view, claim.a, claim.b, quantity)
    cost = arm_cost(view, claim.a, quantity)
    return Estimate(cost.value, None, None, len(cost.per_block), None, RUNS_TARGET, reason=cost.reason)


def _counted(view: ComparisonView, claim: Claim, quantity: str) -> Estimate:
    """What the last stage of an arm counted, at the first seed, or what its file sets."""
    count = _set if quantity in SETTINGS else _of_last_stage
    top = count(view, claim.a, quantity)
    bottom = 1.0 if claim.b is None else count(view, claim.b, quantity)
    if top is None or bottom is None:
        return _nothing("the stages did not record it")
    if not bottom:
        return _nothing(f"it is zero in {claim.b}")
    return Estimate(top / bottom, None, None, 1, None, RUNS_TARGET)


def _of_last_stage(view: ComparisonView, arm: str, quantity: str) -> float | None:
    facts = view.stages_of(view.cells_of(arm)[0])[-1].facts_as(TrainFacts)
    if quantity == "models_in_memory":
        return 2.0 if facts.reference and facts.reference.holder == ReferenceHolder.COPY else 1.0
    counts = facts.sequences
    if counts is None:
        return None
    if quantity == "sequences_forwarded_per_pair":
        return counts.forwarded_per_pair
    if counts.with_gradient_per_pair is None or counts.once_per_pair is None:
        return None
    return counts.forwarded_per_pair - counts.with_gradient_per_pair + counts.once_per_pair


def _set(view: ComparisonView, arm: str, quantity: str) -> float | None:
    """How many settings the file gives an arm's stages of their own, or how many data sets it needs."""
    if quantity == "data_sets":
        return 2.0 if view.prepared.sft_data.get(arm) else 1.0
    spec = view.record.plan.spec
    entry: dict[str, Any] = next((one for one in spec["arms"] if one["name"] == arm), {})
    names = [stage.get("name") or stage["method"] for stage in entry.get("stages") or []]
    settings = [set((spec.get("stages") or {}).get(name, {})) for name in names]
    return float(sum(map(len, settings))) if any(settings) else None


def _nothing(reason: str) -> Estimate:
    return Estimate.absent(reason, target=RUNS_TARGET)
