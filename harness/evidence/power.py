"""Before the run: which effect the planned seeds can find, and how many seeds a margin needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.evidence.answers import COUNTED
from harness.evidence.contrasts import score_evidence
from harness.evidence.costs import cost_ratio
from harness.evidence.statistics.estimate import LEVEL, POWER, Estimate, detectable, paired_items
from harness.evidence.view import ComparisonView

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


def plan_power(questions: list[dict[str, Any]], seeds: int, like: ComparisonView | None) -> list[Power]:
    """Power of every question at the planned number of seeds, by the spread that `like` measured."""
    return [_one(question, seeds, like) for question in questions if question["quantity"] not in COUNTED]


def _one(question: dict[str, Any], seeds: int, like: ComparisonView | None) -> Power:
    is_cost = question["quantity"].startswith("cost.")
    sd = _spread(question, like) if like is not None else None
    effect = detectable(sd or 1.0, seeds) if seeds > 1 else None
    if is_cost and sd and effect is not None:
        effect = math.expm1(effect)
    margin = question["margin"]
    shift = math.log1p(margin) if margin is not None and is_cost else margin
    chance = needed = None
    if sd and shift is not None:
        chance = power_within(shift, sd, seeds) if seeds > 1 else 0.0
        needed = next((n for n in range(2, MOST_SEEDS) if power_within(shift, sd, n) >= POWER), None)
    items, items_effect = _by_items(question, like) if like is not None else (None, None)
    a, b = question["a"], question["b"]
    return Power(question["quantity"], a, b, seeds, sd, effect, margin, chance, needed, items, items_effect)


def _by_items(question: dict[str, Any], like: ComparisonView) -> tuple[int | None, float | None]:
    """Number of items at the earlier run's first seed, and the smallest effect that they find."""
    quantity, a, b = question["quantity"], question["a"], question["b"]
    tables = [like.items.get(f"{arm}@{like.seeds[0]}", {}).get(quantity) for arm in (a, b)]
    rival = like.rival_of(quantity)
    own = next((t for t, arm in zip(tables, (b, a), strict=True) if t and rival == arm), None)
    if own:
        one = paired_items(own, dict.fromkeys(own, like.against_itself(quantity)))
    elif tables[0] and tables[1]:
        one = paired_items(tables[0], tables[1])
    else:
        return None, None
    return one.n, one.detectable


def _spread(question: dict[str, Any], like: ComparisonView) -> float | None:
    """Standard deviation of seed-level differences (of logs for costs) in an earlier run."""
    quantity, a, b = question["quantity"], question["a"], question["b"]
    if not {a, b} <= {*like.arms, "base"}:
        return None
    found: Estimate | None
    if quantity.startswith("cost."):
        found = cost_ratio(like, a, b, quantity.removeprefix("cost."))
    else:
        one = score_evidence(like, quantity, a, b) or score_evidence(like, quantity, b, a)
        found = one.estimate if one is not None and len(like.seeds) > 1 else None
    if found is None or found.error is None or found.n < 2:
        return None
    return found.error * math.sqrt(found.n)


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
