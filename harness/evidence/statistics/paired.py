"""Differences of two arms on the same items: at one seed, over seeds, and over seeds and items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.evidence.statistics.estimate import (
    BOTH_TARGET,
    ITEMS_TARGET,
    NO_SPREAD,
    POPULATION_TARGET,
    Estimate,
    detectable_error,
    mean_interval,
)
from harness.evidence.statistics.intervals import (
    Array,
    Ends,
    Intervals,
    one_value_dominates,
    over_both,
    over_items,
    over_seeds,
    skewness,
    too_skewed,
)
from harness.evidence.statistics.linearised import Clusters, Items, Linearised, linearised

FEWEST_SEEDS, FEWEST_ITEMS = 3, 10
NO_CLUSTERS: Clusters = {}


def paired_items(a: Items, b: Items, *, clusters: Clusters = NO_CLUSTERS) -> Estimate:
    """Mean of per-item differences a - b over the items both have, at one seed; see `items_estimate`."""
    shared = a.keys() & b.keys()
    return items_estimate({i: a[i] - b[i] for i in shared}, clusters=clusters)


def items_estimate(values: Items, *, about: float | None = 0.0, clusters: Clusters = NO_CLUSTERS) -> Estimate:
    """Mean over items, or clusters of them, drawn from a population; see `intervals.over_items`.

    The ends of the scale are as far from `about` as the farthest item: 0 and 1 for right and wrong about one
    half. Differences are about 0, and identical where all are 0; a scale that is not known (None) ends where
    its values do. Where no value dominates, a long tail leaves no interval (`intervals.too_skewed`).
    """
    if not values:
        return Estimate.absent("no shared items", target=POPULATION_TARGET)
    whole = linearised([values], clusters)
    n, groups = whole.items, whole.table.shape[1]
    if not np.isfinite(whole.values).all():
        return Estimate.absent(_odd(whole.values), n=n, target=POPULATION_TARGET)
    if about == 0 and not whole.values.any():
        return Estimate(0.0, 0.0, 0.0, n, 1.0, POPULATION_TARGET, identical=True, items=n)
    mean = math.fsum(values.values()) / n
    if groups < 2:
        alone = f"one {'cluster of items' if n > 1 else 'item'} has no interval"
        return Estimate(mean, None, None, n, None, POPULATION_TARGET, reason=alone, items=n)
    ends = _ends(whole, about)
    reason = _no_interval(whole.table[0], ends)
    if reason is not None:
        return Estimate(mean, None, None, n, None, POPULATION_TARGET, reason=reason, items=n)
    intervals = over_items(whole.table[0], ends, effective=whole.effective if whole.clustered else None)
    return _estimate(intervals, mean, n, POPULATION_TARGET, whole, ends)


def paired_seeds(a: Mapping[int, Items], b: Mapping[int, Items]) -> Estimate:
    """Mean of seed-level differences, each over the items that both arms have at that seed.

    Identical means equal item by item: equal means of unequal items are merely not separable.
    """
    return seeds_estimate(differences(a, b))


def seeds_estimate(by_seed: Sequence[Items], *, about: float | None = 0.0) -> Estimate:
    """Mean over training seeds for the same items; see `intervals.over_seeds`."""
    means = [math.fsum(table[i] for i in sorted(table)) / len(table) for table in by_seed]
    plain = mean_interval(means, ITEMS_TARGET)
    if not means or not np.isfinite(means).all() or len(means) == 1:
        return plain
    whole = linearised(by_seed, NO_CLUSTERS)
    plain = replace(plain, items=whole.items, absent_values=whole.absent)
    if about == 0 and not whole.values.any():
        return plain
    ends = _ends(whole, about)
    if not ends.few:
        if plain.identical:
            reason = "the means are equal at every seed, the items are not"
            return replace(plain, low=None, high=None, identical=False, reason=reason)
        return plain
    intervals = over_seeds(np.array(means), ends, round(len(whole.values) / len(means)))
    return _estimate(intervals, math.fsum(means) / len(means), len(means), ITEMS_TARGET, whole, ends)


def paired_both(
    a: Mapping[int, Items],
    b: Mapping[int, Items],
    *,
    clusters: Clusters = NO_CLUSTERS,
) -> Estimate:
    """Mean difference a - b about the population of items and of training seeds alike.

    Two-level analysis of all items that both arms have at some seed; see `intervals.over_both`.
    """
    by_seed = differences(a, b)
    seeds = len(by_seed)
    if seeds < FEWEST_SEEDS:
        few = f"fewer than {FEWEST_SEEDS} seeds, for which this interval was not calibrated"
        return Estimate.absent(few, n=seeds, target=BOTH_TARGET)
    whole = linearised(by_seed, clusters)
    if whole.table.shape[1] < FEWEST_ITEMS:
        what = "clusters of items" if whole.clustered else "items"
        return Estimate.absent(
            f"fewer than {FEWEST_ITEMS} {what} that both arms have", n=seeds, target=BOTH_TARGET
        )
    if not np.isfinite(whole.values).all():
        return Estimate.absent(_odd(whole.values), n=seeds, target=BOTH_TARGET)
    if not whole.values.any():
        return Estimate(0.0, 0.0, 0.0, seeds, 1.0, BOTH_TARGET, identical=True, items=whole.items)
    ends = _ends(whole)
    reason = _no_interval(whole.table.mean(axis=0), ends)
    if reason is not None:
        return Estimate(
            float(whole.values.mean()), None, None, seeds, None, BOTH_TARGET, reason=reason, items=whole.items
        )
    return _estimate(
        over_both(whole.table, ends), float(whole.values.mean()), seeds, BOTH_TARGET, whole, ends
    )


def differences(a: Mapping[int, Items], b: Mapping[int, Items]) -> list[Items]:
    """Per-item differences a - b at each seed at which both have items."""
    return list(differences_by_seed(a, b).values())


def differences_by_seed(a: Mapping[int, Items], b: Mapping[int, Items]) -> dict[int, Items]:
    """`differences` by their seeds, in order."""
    seeds = sorted(a.keys() & b.keys())
    tables = {seed: {i: a[seed][i] - b[seed][i] for i in a[seed].keys() & b[seed].keys()} for seed in seeds}
    return {seed: table for seed, table in tables.items() if table}


def _ends(whole: Linearised, about: float | None = 0.0) -> Ends:
    """The scale's ends, and whether one value dominates."""
    if about is None:
        about = (float(whole.values.max()) + float(whole.values.min())) / 2
    farthest = float(np.abs(whole.values - about).max())
    return Ends(about - farthest, about + farthest, bool(one_value_dominates(whole.values)))


def _no_interval(values: Array, ends: Ends) -> str | None:
    """Why values of items, or of clusters of them, have a mean but no interval."""
    if ends.few or not too_skewed(values):
        return None
    return f"a skewness of {float(skewness(values)):.1f} is too much for the interval of {len(values)} items"


def _odd(values: Array) -> str:
    return f"{int((~np.isfinite(values)).sum())} of {len(values)} values are not finite"


def _estimate(
    intervals: Intervals, mean: float, n: int, target: str, whole: Linearised, ends: Ends
) -> Estimate:
    """One data set's interval, cut at the ends of the scale."""
    error, freedom = float(intervals.error), float(intervals.freedom)
    if error == 0:
        return Estimate(mean, None, None, n, None, target, reason=NO_SPREAD, items=whole.items)
    low, high = float(intervals.low), float(intervals.high)
    if ends.few:
        low, high = max(low, float(ends.low)), min(high, float(ends.high))
    return Estimate(
        mean,
        low,
        high,
        n,
        float(intervals.p),
        target,
        detectable_error(error, freedom),
        error=error,
        freedom=freedom,
        centre=float(intervals.centre),
        items=whole.items,
        clusters=whole.table.shape[1] if whole.clustered else None,
        absent_values=whole.absent,
    )
