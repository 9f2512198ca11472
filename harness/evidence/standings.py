"""How a published claim stands on a run: supported, contradicted, not separable or not measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from harness.evidence.answers import not_compared
from harness.evidence.contrasts import HOST_MEMORY, score_contrast
from harness.evidence.costs import MemoryKind, arm_cost, cost_ratio, memory_kind
from harness.evidence.scores import arm_score
from harness.evidence.statistics.estimate import ITEMS_TARGET, RUNS_TARGET, Estimate, mean_interval
from harness.evidence.statistics.verdict import is_separable
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
    is_win_rate,
)
from harness.records import ReferenceHolder, TrainFacts

EXACT = 1e-9
ONE_RUN = "one run has no spread between models and data sets"
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
        estimate = _nothing(claim.needs or "")
    elif claim.over_runs is not None:
        estimate = _nothing(ONE_RUN)
    else:
        estimate = _estimate(view, claim, claim.quantity)
    if estimate.value is None:
        return ClaimStanding(estimate, Standing.NOT_MEASURED, Standing.NOT_MEASURED.value)
    equal = _equal(claim)
    standing = _within(claim, estimate) if equal is None else _on_its_side(claim, estimate, equal)
    if standing is None:
        why = "every item is equal" if estimate.identical else estimate.reason or "no interval"
        return ClaimStanding(estimate, Standing.NOT_SEPARABLE, f"not separable: {why}")
    return ClaimStanding(estimate, standing, standing.value)


def _within(claim: Claim, estimate: Estimate) -> Standing | None:
    """Whether the interval, or the value that is exact, lies in the claimed range; None without either."""
    assert estimate.value is not None
    exact = (*COUNTED, *SETTINGS, *(quantity.name for quantity in COSTS if not quantity.timed))
    if estimate.low is None and claim.quantity not in exact and not estimate.identical:
        return None
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    lowest, highest = _bounds(claim)
    if lowest - EXACT <= low and high <= highest + EXACT:
        return Standing.SUPPORTED
    outside = high < lowest - EXACT or low > highest + EXACT
    return Standing.CONTRADICTED if outside else Standing.NOT_SEPARABLE


def _on_its_side(claim: Claim, estimate: Estimate, equal: float) -> Standing | None:
    """Whether the estimate is separably on the claimed side of equal, by the rule of every contrast.

    None where nothing was tested, or where all items are equal.
    """
    assert estimate.value is not None
    separable = is_separable(estimate, neutral=equal)
    if separable is None or estimate.identical:
        return None
    if not separable:
        return Standing.NOT_SEPARABLE
    above = _bounds(claim)[0] == equal
    return Standing.SUPPORTED if (estimate.value > equal) == above else Standing.CONTRADICTED


def _equal(claim: Claim) -> float | None:
    """What equal is, where a score or a rise is claimed to be on one side of it; None for other ranges."""
    quantity = claim.quantity or ""
    if "." not in quantity and quantity not in RISES:
        return None
    equal = 0.5 if claim.b is None and is_win_rate(quantity) else 0.0
    sides = ((equal, float("inf")), (-float("inf"), equal))
    return equal if _bounds(claim) in sides else None


def _bounds(claim: Claim) -> tuple[float, float]:
    """What is claimed, an open end being infinite."""
    assert claim.expected is not None
    low, high = claim.expected
    return -float("inf") if low is None else low, float("inf") if high is None else high


def _estimate(view: ComparisonView, claim: Claim, quantity: str) -> Estimate:
    absent = missing_arms(view, claim)
    if absent:
        return _nothing(not_compared(absent))
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
    """The difference a - b of a score, or the score of `a` alone.

    A win rate of `a` alone is what the contrast with its rival says, counted from zero and not from one
    half, so that a claim and the evidence are never judged by two analyses of the same items.
    """
    if view.random_weights:
        return _nothing("training began from random weights")
    if metric not in view.metrics():
        return _nothing(f"{metric} was not scored")
    rival = view.rival_of(metric) if is_win_rate(metric) else None
    if claim.b is None and rival is not None and rival != claim.a:
        against = score_contrast(view, metric, claim.a, rival)
        if against is None:
            return _nothing(f"{metric} was not scored for {claim.a}")
        return _shifted(against.estimate, view.against_itself(metric))
    if claim.b is None:
        return arm_score(view, claim.a, metric)
    one = score_contrast(view, metric, claim.a, claim.b)
    return one.estimate if one is not None else _nothing(f"{metric} was not scored for both")


def _shifted(estimate: Estimate, by: float) -> Estimate:
    """The estimate of a difference as one of the value that differs; its tests stay what they were."""
    value, low, high = (
        None if end is None else end + by for end in (estimate.value, estimate.low, estimate.high)
    )
    return replace(estimate, value=value, low=low, high=high)


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
    return Estimate(cost.value, None, None, len(cost.by_block), None, RUNS_TARGET, reason=cost.reason)


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
