"""Several scores as one registered quantity: a weighted mean of differences in units of each score's scale.

Oriented so that higher is better. Weights stand in the comparison file before the run; a scale does too, or
it is the spread of the base model's own items, which no training changes: nothing is chosen by results.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from harness.evidence.amounts import detectable_effect
from harness.evidence.contrasts import Contrast, arm_pairs, directions, score_reach, sides
from harness.evidence.statistics.estimate import BOTH_TARGET, ITEMS_TARGET, Estimate
from harness.evidence.statistics.linearised import Items
from harness.evidence.statistics.paired import differences_by_seed
from harness.evidence.statistics.verdict import verdict
from harness.evidence.statistics.weighted import Part, weighted_sum
from harness.evidence.view import BASE, ComparisonView
from harness.pipeline.questions_spec import AggregateSpec
from harness.quantities import AGGREGATE
from harness.units import significant

OWN_SPREAD = "the standard deviation over items of the base model's own scores"
OTHER_ITEMS = "the scores of an aggregate have different items, so there is no table of seeds by items"


@dataclass(frozen=True)
class Member:
    """A score of an aggregate: its share of the weights, and what one unit of the aggregate is for it.

    `higher` is the direction that its benchmark recorded. `reason` is why the score cannot be part.
    """

    score: str
    share: float
    scale: float | None
    written: bool
    higher: bool
    reason: str | None = None

    @property
    def factor(self) -> float:
        """What a difference of the score counts for."""
        assert self.scale is not None
        return (self.share if self.higher else -self.share) / self.scale


def members(view: ComparisonView, aggregate: AggregateSpec) -> list[Member]:
    """The scores in the file's order, their weights adding up to 1."""
    total = sum(aggregate.weights.values())
    return [
        _member(view, score, weight / total, aggregate.scales.get(score))
        for score, weight in aggregate.weights.items()
    ]


def aggregate_contrast(view: ComparisonView, name: str, aggregate: AggregateSpec, a: str, b: str) -> Contrast:
    """The aggregated difference a - b; not measured where any score is missing, with the reason."""
    scores, quantity = members(view, aggregate), AGGREGATE + name
    tables = {one.score: _differences(view, one.score, a, b) for one in scores}
    reason = "; ".join(one.reason for one in scores if one.reason) or _missing(tables)
    if reason is None:
        parts = [
            Part(one.score, one.factor, list(tables[one.score].values()), view.clusters_of(one.score))
            for one in scores
        ]
        estimate = weighted_sum(parts)
    else:
        estimate = Estimate.absent(reason, target=ITEMS_TARGET)
    sources = [digest for s in aggregate.weights for arm in (a, b) for digest in view.score_sources(arm, s)]
    above, below = directions(view, quantity)
    reach = math.fsum(abs(s.factor) * score_reach(view, s.score, a, b) for s in scores if s.scale)
    smallest = detectable_effect("number", estimate.detectable, reach)
    return Contrast(
        quantity,
        a,
        b,
        "difference",
        estimate,
        verdict(estimate, above=above, below=below, smallest=smallest),
        tuple(dict.fromkeys(sources)),
        Estimate.absent(OTHER_ITEMS, n=estimate.n, target=BOTH_TARGET) if len(view.seeds) > 1 else None,
        reach,
    )


def aggregate_contrasts(view: ComparisonView) -> list[Contrast]:
    """Every aggregate of every pair of arms that has it; of all pairs, with the reason, where none has."""
    if view.random_weights:
        return []
    contrasts = []
    for name, aggregate in view.aggregates.items():
        every = [aggregate_contrast(view, name, aggregate, a, b) for a, b in arm_pairs(view)]
        measured = [one for one in every if one.estimate.value is not None]
        contrasts += measured or every
    return contrasts


def aggregate_notes(view: ComparisonView, shown: Iterable[str]) -> tuple[str, ...]:
    """What the aggregates among the shown quantities are made of, a sentence each: weights and scales."""
    quantities = {*shown}
    return tuple(
        f"{AGGREGATE}{name}: weighted mean of differences, higher is better, in units of a scale for each "
        f"score: {'; '.join(_in_words(one) for one in members(view, aggregate))}."
        for name, aggregate in view.aggregates.items()
        if AGGREGATE + name in quantities
    )


def definitions(view: ComparisonView) -> dict[str, str]:
    """What each aggregate is by the comparison file, before any result: a sentence by quantity."""
    return {AGGREGATE + name: _defined(AGGREGATE + name, one) for name, one in view.aggregates.items()}


def _defined(quantity: str, aggregate: AggregateSpec) -> str:
    total, parts = sum(aggregate.weights.values()), []
    for score, weight in aggregate.weights.items():
        written = aggregate.scales.get(score)
        unit = OWN_SPREAD if written is None else f"{significant(written)}, as written before the run"
        parts.append(f"{score} by {weight / total:.1%}, one unit being {unit}")
    return (
        f"{quantity} is the weighted mean of its scores' differences, each turned so that higher is better "
        f"and divided by its scale: {'; '.join(parts)}."
    )


def _member(view: ComparisonView, score: str, share: float, scale: float | None) -> Member:
    """A score with its scale, or why it has none or no direction."""
    higher, written = view.higher_is_better(score), scale is not None
    reason = None
    if score not in view.metrics():
        reason = f"{score} was not scored"
    elif higher is None:
        reason = f"neither direction of {score} is better"
    elif scale is None:
        scale, reason = _spread_of_base(view, score)
    return Member(score, share, scale, written, higher is not False, reason)


def _spread_of_base(view: ComparisonView, score: str) -> tuple[float | None, str | None]:
    """Standard deviation over items of the base model's own scores, or why it is no scale."""
    values = list(view.items.get(BASE, {}).get(score, {}).values())
    spread = statistics.stdev(values) if len(values) > 1 else None
    if view.rival_of(score) in view.arms:
        why = "is against an arm, so training changes what the base model reaches in it"
    elif spread is None:
        why = "was not scored for the base model on two items or more"
    elif not 0 < spread < float("inf"):
        why = "does not vary, or is not finite, over the base model's items"
    else:
        return spread, None
    return None, f"{score} has no scale: it {why} (the comparison file can write one under scales)"


def _differences(view: ComparisonView, score: str, a: str, b: str) -> dict[int, Items]:
    """Per-item differences a - b by seed; a rival is seen from the arm that it is a rival of."""
    ours = differences_by_seed(*sides(view, score, a, b))
    if ours:
        return ours
    theirs = differences_by_seed(*sides(view, score, b, a))
    return {seed: {item: -value for item, value in table.items()} for seed, table in theirs.items()}


def _missing(tables: dict[str, dict[int, Items]]) -> str | None:
    """Which scores lack both arms, or lack a seed that another score has."""
    absent = [score for score, table in tables.items() if not table]
    if absent:
        return f"{', '.join(absent)} was not scored for both"
    seeds = sorted(set().union(*tables.values()))
    gaps = {score: [seed for seed in seeds if seed not in table] for score, table in tables.items()}
    lacking = [f"{score} at seed {', '.join(map(str, gap))}" for score, gap in gaps.items() if gap]
    return f"missing for both: {'; '.join(lacking)}" if lacking else None


def _in_words(one: Member) -> str:
    if one.scale is None:
        return f"{one.score} {one.share:.1%}, without a scale"
    origin = "as written before the run" if one.written else "the spread of the base model's items"
    turned = "" if one.higher else ", lower being better"
    return f"{one.score} {one.share:.1%}, one unit being {significant(one.scale)} ({origin}{turned})"
