"""At which number of trials, and at which cost of them, one search is ahead of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.evidence.statistics.best_of import BestOf, Gap, gap

WHOLE = 1e-9


@dataclass(frozen=True)
class Step:
    """From `amount` on, until the next step: the gap of a over b in the best that it pays for."""

    amount: float
    gap: Gap


@dataclass(frozen=True)
class Stretch:
    """From the step at `first` to that at `last`: 1 where a is ahead, -1 where b is, 0 for neither."""

    first: float
    last: float
    ahead: int


def by_trials(a: BestOf, b: BestOf) -> list[Step]:
    """A step a trial, as far as both searches went."""
    return [Step(k, gap(a, b, k, k)) for k in range(1, min(len(a.value), len(b.value)) + 1)]


def by_cost(a: BestOf, b: BestOf, cost_a: float, cost_b: float) -> list[Step]:
    """A step wherever a budget pays for one trial more of either, at the mean cost of a trial of each.

    From the first budget that pays for a trial of both, as far as both searches went.
    """
    first, last = max(cost_a, cost_b), min(len(a.value) * cost_a, len(b.value) * cost_b)
    paid = {k * cost for one, cost in ((a, cost_a), (b, cost_b)) for k in range(1, len(one.value) + 1)}
    amounts = sorted(amount for amount in paid if first <= amount <= last * (1 + WHOLE))
    return [Step(amount, gap(a, b, _paid(a, amount, cost_a), _paid(b, amount, cost_b))) for amount in amounts]


def _paid(one: BestOf, amount: float, cost: float) -> int:
    """How many whole trials an amount pays for."""
    return min(int(amount / cost + WHOLE), len(one.value))


def stretches(steps: Sequence[Step], ahead: Callable[[Gap], int]) -> list[Stretch]:
    """Neighbouring steps of which `ahead` says the same, together."""
    found: list[Stretch] = []
    for step in steps:
        side = ahead(step.gap)
        if found and found[-1].ahead == side:
            found[-1] = Stretch(found[-1].first, step.amount, side)
        else:
            found.append(Stretch(step.amount, step.amount, side))
    return found


def by_estimate(one: Gap) -> int:
    """Which side the estimate is on, whatever its interval."""
    return (one.value > WHOLE) - (one.value < -WHOLE)


def surely(one: Gap) -> int:
    """Which side the whole interval is on; 0 where it holds 0, or where there is none."""
    if one.low is None or one.high is None:
        return 0
    return (one.low > WHOLE) - (one.high < -WHOLE)
