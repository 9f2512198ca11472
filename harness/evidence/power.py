"""Before the run: which effect the planned seeds can find, and how many seeds a margin needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.aggregates import aggregate_contrast
from harness.evidence.contrasts import score_contrast
from harness.evidence.costs import arm_cost, cost_ratio, kind_ratios
from harness.evidence.statistics.estimate import POWER, Estimate, detectable
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.paired import paired_items
from harness.evidence.view import BASE, ComparisonView
from harness.pipeline.questions_spec import AggregateSpec, QuestionSpec
from harness.quantities import AGGREGATE, cost_of

MOST_SEEDS = 1_000
ASSURED = 0.8
GRID = 400
"""Number of equally likely spreads that power is averaged over."""
NO_AGGREGATES: Mapping[str, AggregateSpec] = {}


@dataclass(frozen=True)
class Spread:
    """Standard deviation of seed-level differences (of logs for costs), and how well it is known."""

    sd: float
    freedom: float

    def quantile(self, share: float) -> float:
        """The value that the true one is below with this probability: sd * sqrt(freedom / chi2).

        freedom * sd^2 / sigma^2 is chi-squared for normal differences; read for sigma it is the posterior
        under the prior 1 / sigma, and its quantiles are the confidence limits that Browne (1995) plans
        with.
        """
        from scipy import stats

        return self.sd * math.sqrt(self.freedom / float(stats.chi2.ppf(1 - share, self.freedom)))


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds that show a true difference of zero to be within the margin with 80% power; None: over 1,000.

    `as_measured` takes the measured spread for the true one, as if it were known. `assured` takes the
    value that the true spread is below in 80% of plans, so that in 80% of plans the true power is 80% or
    more.
    """

    as_measured: int | None
    assured: int | None


@dataclass(frozen=True)
class Power:
    """One question: the spread of seed-level differences, what `seeds` find, what the margin needs.

    `spread` is None where no earlier run measured it; `effect` is then in units of that spread.
    `effect_assured` is the effect at the spread that the true one is below in 80% of plans. `not_worse`
    is the power to show a true difference of zero to be within the margin, averaged over what the spread
    may be. The spread of a cost is on logs, its effects a share of the cost. `items_effect` is what the
    `items` of the earlier run find at one seed, about the population of items.
    """

    quantity: str
    a: str
    b: str
    seeds: int
    spread: Spread | None
    effect: float | None
    effect_assured: float | None
    margin: float | None
    not_worse: float | None
    seeds_needed: SeedsNeeded | None
    items: int | None = None
    items_effect: float | None = None


def plan_power(
    questions: Sequence[QuestionSpec],
    seeds: int,
    like: ComparisonView | None,
    aggregates: Mapping[str, AggregateSpec] = NO_AGGREGATES,
) -> list[Power]:
    """Power of every tested question at the planned number of seeds, by the spread that `like` measured.

    `aggregates` are those that the questions may be about.
    """
    costs = [cost_of(question.quantity) for question in questions]
    tested = [q for q, cost in zip(questions, costs, strict=True) if cost is None or cost.timed]
    return [_one(question, seeds, like, aggregates) for question in tested]


def _one(
    question: QuestionSpec, seeds: int, like: ComparisonView | None, aggregates: Mapping[str, AggregateSpec]
) -> Power:
    is_cost = cost_of(question.quantity) is not None
    spread = _spread(question, like, aggregates) if like is not None else None
    effect = assured = None
    if seeds > 1:
        effect = _effect(spread.sd if spread else 1.0, seeds, is_cost=is_cost and spread is not None)
        assured = _effect(spread.quantile(ASSURED), seeds, is_cost=is_cost) if spread else None
    margin = question.margin
    shift = math.log1p(margin) if margin is not None and is_cost else margin
    chance = needed = None
    if spread and shift is not None:
        chance = assurance(shift, spread, seeds) if seeds > 1 else 0.0
        needed = seeds_needed(shift, spread)
    items, items_effect = _by_items(question, like) if like is not None else (None, None)
    return Power(
        question.quantity,
        question.a,
        question.b,
        seeds,
        spread,
        effect,
        assured,
        margin,
        chance,
        needed,
        items,
        items_effect,
    )


def _effect(sd: float, seeds: int, *, is_cost: bool) -> float:
    """Smallest effect found; of logs as a share of the cost."""
    effect = detectable(sd, seeds)
    return math.expm1(effect) if is_cost else effect


def _by_items(question: QuestionSpec, like: ComparisonView) -> tuple[int | None, float | None]:
    """Number of items at the earlier run's first seed, and the smallest effect that they find."""
    quantity, arms = question.quantity, (question.a, question.b)
    a, b = (like.items.get(f"{arm}@{like.seeds[0]}", {}).get(quantity) for arm in arms)
    rival = like.rival_of(quantity)
    challenger = a if rival == question.b else b if rival == question.a else None
    if challenger:
        one = paired_items(challenger, dict.fromkeys(challenger, like.against_itself(quantity)))
    elif a and b:
        one = paired_items(a, b)
    else:
        return None, None
    return one.n, one.detectable


def _spread(
    question: QuestionSpec, like: ComparisonView, aggregates: Mapping[str, AggregateSpec]
) -> Spread | None:
    """Spread of seed-level differences (of logs for costs) in an earlier run; None where there is none. Of a
    mixed fleet it is that within a kind of device."""
    if not {question.a, question.b} <= {*like.arms, BASE}:
        return None
    cost = cost_of(question.quantity)
    if cost is not None and like.mixed_fleet and BASE not in (question.a, question.b):
        found = kind_ratios(like, *(arm_cost(like, arm, cost) for arm in (question.a, question.b)))
        variance, freedom = found.within if found is not None else (0.0, 0.0)
        return Spread(math.sqrt(variance), freedom) if variance else None
    estimate = _earlier(question, like, aggregates)
    if estimate is None or not estimate.error or estimate.n < 2:
        return None
    return Spread(estimate.error * math.sqrt(estimate.n), estimate.n - 1.0)


def _earlier(
    question: QuestionSpec, like: ComparisonView, aggregates: Mapping[str, AggregateSpec]
) -> Estimate | None:
    quantity, a, b = question.quantity, question.a, question.b
    cost = cost_of(quantity)
    if cost is not None:
        return cost_ratio(like, a, b, cost)
    if len(like.seeds) < 2:
        return None
    if quantity.startswith(AGGREGATE):
        name = quantity.removeprefix(AGGREGATE)
        return aggregate_contrast(like, name, aggregates[name], a, b).estimate
    one = score_contrast(like, quantity, a, b) or score_contrast(like, quantity, b, a)
    return one.estimate if one is not None else None


def power_within(margin: float, sd: float, seeds: int) -> float:
    """Chance that a one-sided 2.5% t test shows a true difference of zero to be above -margin.

    Noncentral t with seeds - 1 degrees of freedom and shift margin * sqrt(seeds) / sd (Cohen 1988).
    """
    from scipy import stats

    shift = margin * math.sqrt(seeds) / sd
    if shift > 30:
        return 1.0
    critical = float(stats.t.ppf(1 - LEVEL / 2, seeds - 1))
    return float(stats.nct.sf(critical, seeds - 1, shift))


def seeds_needed(margin: float, spread: Spread) -> SeedsNeeded:
    """The fewest seeds with 80% power: at the measured spread, and at its upper 80% limit.

    A spread from few seeds taken for the true one plans too small a run about half of the time (Browne
    1995; Julious and Owen 2006 for the same correction on average over plans). The upper limit is used
    here since a plan is made once: the true power reaches 80% in 80% of plans.
    """
    return SeedsNeeded(_fewest(margin, spread.sd), _fewest(margin, spread.quantile(ASSURED)))


def assurance(margin: float, spread: Spread, seeds: int) -> float:
    """`power_within` averaged over what the true spread may be (O'Hagan, Stevens and Campbell 2005)."""
    shares = ((i + 0.5) / GRID for i in range(GRID))
    return math.fsum(power_within(margin, spread.quantile(share), seeds) for share in shares) / GRID


def _fewest(margin: float, sd: float) -> int | None:
    """The fewest seeds, by bisection: power grows with their number; None where 1,000 are too few."""
    if power_within(margin, sd, MOST_SEEDS) < POWER:
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_within(margin, sd, middle) >= POWER else (middle, high)
    return high
