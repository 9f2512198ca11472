"""Quality against cost as curves: what is reached within a cost, where curves cross."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """Points of one cell, costs ascending; `total` is what the whole cell cost."""

    seed: int
    cost: tuple[float, ...]
    quality: tuple[float, ...]
    total: float

    def at(self, cost: float) -> float | None:
        """Quality after `cost`, linear between probes; None before the first or after the end.

        Between the last probe and the end nothing is learned any more, only saved.
        """
        if not self.cost or cost < self.cost[0] or cost > self.total * (1 + 1e-9):
            return None
        right = bisect.bisect_left(self.cost, cost)
        if right == len(self.cost):
            return self.quality[-1]
        if right == 0 or self.cost[right] == cost:
            return self.quality[right]
        left = right - 1
        share = (cost - self.cost[left]) / (self.cost[right] - self.cost[left])
        return self.quality[left] + share * (self.quality[right] - self.quality[left])

    def within(self, cost: float) -> float | None:
        """Quality reached by spending at most `cost`: that at the end where the cell costs less."""
        return self.at(min(cost, self.total))


def mean_within(of_seeds: Sequence[Curve], cost: float) -> float | None:
    """Mean over seeds of the quality reached by `cost`; None where some seed has no probe by then."""
    values = [curve.within(cost) for curve in of_seeds]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def crossings(a: Sequence[Curve], b: Sequence[Curve]) -> list[tuple[float, bool]]:
    """Costs at which the mean curves cross, each with whether `a` leads from there on.

    An arm that has ended stays as it ended. Costs count from the first probe after training began
    on; touching without passing is no crossing.
    """
    trained = min((curve.cost[1] for curve in (*a, *b) if len(curve.cost) > 1), default=0.0)
    knots = sorted({cost for curve in (*a, *b) for cost in curve.cost if cost >= trained})
    gaps = []
    for cost in knots:
        left, right = mean_within(a, cost), mean_within(b, cost)
        if left is not None and right is not None:
            gaps.append((cost, left - right))
    crossed: list[tuple[float, bool]] = []
    last: tuple[float, float] | None = None
    for cost, gap in gaps:
        if gap == 0:
            continue
        if last is not None and (gap > 0) != (last[1] > 0):
            where = last[0] + (cost - last[0]) * abs(last[1]) / (abs(last[1]) + abs(gap))
            crossed.append((where, gap > 0))
        last = (cost, gap)
    return crossed
