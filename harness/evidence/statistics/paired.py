"""Differences of two arms on the same items: at one seed, over seeds, and over seeds and items."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from harness.evidence.statistics.estimate import (
    BOTH_TARGET,
    ITEMS_TARGET,
    POPULATION_TARGET,
    TINY,
    Estimate,
    mean_interval,
)
from harness.evidence.statistics.intervals import two_level

FEWEST_SEEDS, FEWEST_ITEMS = 3, 10
MCNEMAR_BELOW = 25
Items = Mapping[str, float]
"""Item id -> value."""


def paired_items(a: Items, b: Items) -> Estimate:
    """Mean of per-item differences a - b over the items both have, at one seed.

    SE = sd / sqrt(n). Where every disagreement weighs the same, as between right and wrong or
    between win, tie and loss, and fewer than 25 items disagree, p is the exact one of McNemar
    (1947), which is a sign test, and the interval is dropped.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        return Estimate.absent("no shared items", target=POPULATION_TARGET)
    differences = [a[i] - b[i] for i in shared]
    if all(d == 0 for d in differences):
        return Estimate(0.0, 0.0, 0.0, len(shared), 1.0, POPULATION_TARGET, identical=True)
    weights = {abs(d) for d in differences if d != 0}
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if len(weights) == 1 and math.isfinite(*weights) and wins + losses < MCNEMAR_BELOW:
        from scipy import stats

        p = float(stats.binomtest(wins, wins + losses, 0.5).pvalue)
        mean = math.fsum(differences) / len(shared)
        return Estimate(
            mean,
            None,
            None,
            len(shared),
            p,
            POPULATION_TARGET,
            reason="fewer than 25 items disagree: exact McNemar test, no interval",
        )
    return mean_interval(differences, POPULATION_TARGET)


def paired_seeds(a: Mapping[int, Items], b: Mapping[int, Items]) -> Estimate:
    """Mean of seed-level differences, each over the items that both arms have at that seed.

    Identical means equal item by item: equal means of unequal items are merely not separable.
    """
    differences, same_items = [], True
    for seed in sorted(a.keys() & b.keys()):
        shared = a[seed].keys() & b[seed].keys()
        if shared:
            differences.append(math.fsum(a[seed][i] - b[seed][i] for i in sorted(shared)) / len(shared))
            same_items = same_items and all(a[seed][i] == b[seed][i] for i in shared)
    estimate = mean_interval(differences, ITEMS_TARGET)
    if estimate.identical and not same_items:
        reason = "the means are equal at every seed, the items are not"
        return replace(estimate, low=None, high=None, identical=False, reason=reason)
    return estimate


def paired_both(a: Mapping[int, Items], b: Mapping[int, Items]) -> Estimate:
    """Mean difference a - b about the population of items and of training seeds alike.

    Two-level analysis of the items that both arms have at every seed; see `intervals.two_level`.
    """
    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < FEWEST_SEEDS:
        reason = f"fewer than {FEWEST_SEEDS} seeds, for which this interval was not calibrated"
        return Estimate.absent(reason, n=len(seeds), target=BOTH_TARGET)
    items = sorted(set.intersection(*({*a[s]} & {*b[s]} for s in seeds)))
    if len(items) < FEWEST_ITEMS:
        reason = f"fewer than {FEWEST_ITEMS} items that both arms have at every seed"
        return Estimate.absent(reason, n=len(seeds), target=BOTH_TARGET)
    import numpy as np

    table = np.array([[a[s][i] - b[s][i] for i in items] for s in seeds])
    if not np.isfinite(table).all():
        return Estimate.absent("some values are not finite", n=len(seeds), target=BOTH_TARGET)
    if not table.any():
        return Estimate(0.0, 0.0, 0.0, len(seeds), 1.0, BOTH_TARGET, identical=True)
    intervals = two_level(table)
    if float(intervals.error) <= TINY:
        reason = "no spread to judge it by"
        return Estimate(float(intervals.mean), None, None, len(seeds), None, BOTH_TARGET, reason=reason)
    low, high, p = float(intervals.low), float(intervals.high), float(intervals.p)
    error, freedom = float(intervals.error), float(intervals.freedom)
    return Estimate(
        float(intervals.mean), low, high, len(seeds), p, BOTH_TARGET, error=error, freedom=freedom
    )
