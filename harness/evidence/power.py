"""Before the run: which effect the planned seeds can find, and how many seeds a margin needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.contrasts import score_contrast
from harness.evidence.costs import cost_ratio
from harness.evidence.statistics.estimate import POWER, Estimate, detectable
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.paired import paired_items
from harness.evidence.view import BASE, ComparisonView
from harness.pipeline.spec import QuestionSpec
from harness.quantities import cost_of

MOST_SEEDS = 1_000


@dataclass(frozen=True)
class Power:
    """One question: the spread of seed-level differences, what `seeds` find, what the margin needs.

    `sd` is None where no earlier run measured it; `effect` is then in units of that spread. `not_worse` is
    the power to show a true difference of zero to be within the margin. The `sd` of a cost is on logs,
    its `effect` a share of the cost. `items_effect` is what the `items` of the earlier run find at one
    seed, about the population of items.
    """

    quantity: str
    a: str
    b: str
    seeds: int
    sd: float | None
    effect: float | None
    margin: float | None
    not_worse: float | None
    seeds_needed: int | None
    items: int | None = None
    items_effect: float | None = None


def plan_power(questions: Sequence[QuestionSpec], seeds: int, like: ComparisonView | None) -> list[Power]:
    """Power of every tested question at the planned number of seeds, by the spread that `like` measured."""
    costs = [cost_of(question.quantity) for question in questions]
    tested = [q for q, cost in zip(questions, costs, strict=True) if cost is None or cost.timed]
    return [_one(question, seeds, like) for question in tested]


def _one(question: QuestionSpec, seeds: int, like: ComparisonView | None) -> Power:
    is_cost = cost_of(question.quantity) is not None
    sd = _spread(question, like) if like is not None else None
    effect = detectable(sd or 1.0, seeds) if seeds > 1 else None
    if is_cost and sd and effect is not None:
        effect = math.expm1(effect)
    margin = question.margin
    shift = math.log1p(margin) if margin is not None and is_cost else margin
    chance = needed = None
    if sd and shift is not None:
        chance = power_within(shift, sd, seeds) if seeds > 1 else 0.0
        needed = next((n for n in range(2, MOST_SEEDS) if power_within(shift, sd, n) >= POWER), None)
    items, items_effect = _by_items(question, like) if like is not None else (None, None)
    return Power(
        question.quantity,
        question.a,
        question.b,
        seeds,
        sd,
        effect,
        margin,
        chance,
        needed,
        items,
        items_effect,
    )


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


def _spread(question: QuestionSpec, like: ComparisonView) -> float | None:
    """Standard deviation of seed-level differences (of logs for costs) in an earlier run."""
    if not {question.a, question.b} <= {*like.arms, BASE}:
        return None
    estimate = _earlier(question, like)
    if estimate is None or estimate.error is None or estimate.n < 2:
        return None
    return estimate.error * math.sqrt(estimate.n)


def _earlier(question: QuestionSpec, like: ComparisonView) -> Estimate | None:
    quantity, a, b = question.quantity, question.a, question.b
    cost = cost_of(quantity)
    if cost is not None:
        return cost_ratio(like, a, b, cost)
    one = score_contrast(like, quantity, a, b) or score_contrast(like, quantity, b, a)
    return one.estimate if one is not None and len(like.seeds) > 1 else None


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
