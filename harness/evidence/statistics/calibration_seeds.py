"""The grid of several seeds: variances, bounds, missing items, clusters and unequal noise.

A seed-level difference is effect + seed + items' mean, as in `two_level`. Variances are stated by the number
of seeds and by the ratio of the seeds' variance to that of the items' share of a mean over all items.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import Case, Cell
from harness.evidence.statistics.estimate import BOTH_TARGET as ALL_ITEMS
from harness.evidence.statistics.estimate import ITEMS_TARGET as THESE_ITEMS
from harness.evidence.statistics.estimate import detectable
from harness.evidence.statistics.intervals import (
    LEVEL,
    Array,
    Ends,
    Intervals,
    one_value_dominates,
    over_both,
    over_seeds,
    t_intervals,
    two_level,
)
from harness.evidence.statistics.linearised import linearise

SEEDS = (2, 3, 5, 10)
RATIOS = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
ITEMS, CHUNK = 100, 1_000
REST = 1.0
"""Variance that is neither the seed's nor the item's, over the item's."""
RATES = (0.5, 0.95, 0.985)
SEED_SDS = (0.05, 0.3)
"""Spread of the seeds over that of one answer, on the latent scale of right and wrong answers."""
MISSING, GROUP = 0.2, 5
FEW = 40
"""Fewer items than this that an arm gets wrong make an interval wide."""


def seed_cases(simulations: int) -> Iterator[Cell]:
    """Every cell of two and more seeds."""
    for seeds in SEEDS:
        for ratio in RATIOS:
            yield partial(_variances, seeds, ratio, simulations)
    for seeds in SEEDS:
        for items in (20, 100, 400):
            for rate in RATES:
                for sd in SEED_SDS:
                    yield partial(_bounded, seeds, items, rate, sd, simulations)
    for seeds in SEEDS[1:]:
        for ratio in (0.1, 1.0, 10.0):
            yield partial(_disturbed, seeds, ratio, simulations)


def _variances(seeds: int, ratio: float, simulations: int) -> Iterator[Case]:
    """Both targets at one number of seeds and one ratio of variances."""
    effect = detectable(float(np.sqrt(ratio + REST / (1 + REST))), seeds)
    both = seeds > 2
    counts = np.zeros((2, 3))
    for table, same, items_mean in _tables(seeds, ratio, simulations):
        fixed, null = t_intervals(table.mean(axis=-1)), t_intervals(same.mean(axis=-1))
        shifted = t_intervals(table.mean(axis=-1) - items_mean[:, None] + effect)
        counts[0] += [*_counts(fixed, null, items_mean), (shifted.low > 0).sum()]
        if both:
            counts[1] += [*_counts(two_level(table), two_level(same), np.zeros(len(table))), 0]
    setting = f"{seeds} seeds, variance of seeds / items {ratio:g}"
    covered, rejected, power = counts[0] / simulations
    yield Case(THESE_ITEMS, setting, covered, rejected, power)
    if both:
        covered, rejected, _ = counts[1] / simulations
        yield Case(ALL_ITEMS, setting, covered, rejected)


def _bounded(seeds: int, items: int, rate: float, sd: float, simulations: int) -> Iterator[Case]:
    """Right and wrong answers of two equal arms on the same items, and of one arm alone, over seeds."""
    from scipy import stats

    rng = np.random.default_rng([seeds, items, round(1000 * rate), round(100 * sd)])
    total = np.sqrt(2 + sd**2)
    most = total * stats.norm.ppf(rate)
    counts = np.zeros(3)
    for start in range(0, simulations, CHUNK):
        size = min(CHUNK, simulations - start)
        item = rng.standard_normal((size, 1, items), dtype=np.float32)
        right = []
        for _ in range(2):
            seed = sd * rng.standard_normal((size, seeds, 1), dtype=np.float32)
            noise = rng.standard_normal((size, seeds, items), dtype=np.float32)
            right.append(np.where(item + seed + noise < most, 1.0, 0.0))
        difference = right[0] - right[1]
        ends = Ends(-1.0, 1.0, _dominated(difference))
        counts[0] += _rejected(over_seeds(difference.mean(axis=-1), ends, items))
        if seeds > 2:
            alone = over_both(right[0], Ends(0.0, 1.0, _dominated(right[0])))
            counts[1] += int(((alone.low <= rate) & (rate <= alone.high)).sum())
            counts[2] += _rejected(over_both(difference, ends))
    setting = f"{seeds} seeds, {items} items, {rate:.1%} right, sd of seeds {sd:g}"
    fixed, covered, rejected = counts / simulations
    yield Case(f"{THESE_ITEMS}: right and wrong", setting, rejected=fixed)
    if seeds > 2:
        yield Case(f"{ALL_ITEMS}: right and wrong", setting, covered, rejected, wide=items * (1 - rate) < FEW)


def _disturbed(seeds: int, ratio: float, simulations: int) -> Iterator[Case]:
    """A fifth of the items missing; items in clusters; items whose noise differs."""
    setting = f"{seeds} seeds, variance of seeds / items {ratio:g}"
    for place, (name, disturb) in enumerate(DISTURBANCES.items()):
        rng = np.random.default_rng([seeds, round(1000 * ratio), place])
        counts = np.zeros(2)
        for table, same, _ in _tables(seeds, ratio, simulations):
            intervals, null = two_level(disturb(table, rng, True)), two_level(disturb(same, rng, False))
            counts += _counts(intervals, null, np.zeros(len(table)))
        covered, rejected = counts / simulations
        yield Case(ALL_ITEMS, f"{setting}, {name}", covered, rejected)


def _missing(table: Array, rng: np.random.Generator, differs: bool) -> Array:
    there = np.where(rng.random(table.shape) > MISSING, 1.0, 0.0)
    return linearise(table * there, there)


def _in_clusters(table: Array, rng: np.random.Generator, differs: bool) -> Array:
    """Clusters share half of the items' variance; an arm against itself shares a seed's noise instead."""
    groups = table.reshape(*table.shape[:-1], ITEMS // GROUP, GROUP).sum(axis=-1)
    shape = (len(table), 1 if differs else table.shape[1], groups.shape[-1])
    shared = GROUP * np.sqrt(ITEMS / 2) * rng.standard_normal(shape)
    return linearise(groups + shared, np.full(groups.shape, float(GROUP)))


def _unequal(table: Array, rng: np.random.Generator, differs: bool) -> Array:
    """Noise of items that differs as a lognormal of sd 1."""
    return table * np.exp(rng.normal(0, 1, (len(table), 1, ITEMS)))


DISTURBANCES = {
    "a fifth of the items missing": _missing,
    f"clusters of {GROUP} items": _in_clusters,
    "unequal noise of items": _unequal,
}


def _tables(seeds: int, ratio: float, simulations: int) -> Iterator[tuple[Array, Array, Array]]:
    """Chunks of (differences of two arms, differences of an arm from itself, mean of the arms' items).

    Tables are (simulations, seeds, items). The items' share of a one-seed mean has variance 1, the seeds'
    has `ratio`. An arm differs from itself by its seeds and the rest, and by no item.
    """
    rng = np.random.default_rng([seeds, round(1000 * ratio)])
    item_sd, rest_sd = np.sqrt(ITEMS / (1 + REST)), np.sqrt(ITEMS * REST / (1 + REST))
    for start in range(0, simulations, CHUNK):
        size = min(CHUNK, simulations - start)
        item = item_sd * rng.standard_normal((size, 1, ITEMS))
        arms = np.sqrt(ratio) * rng.standard_normal((size, seeds, 1))
        arms = arms + rest_sd * rng.standard_normal((size, seeds, ITEMS))
        same = np.sqrt(ratio) * rng.standard_normal((size, seeds, 1))
        same = same + rest_sd * rng.standard_normal((size, seeds, ITEMS))
        yield arms + item, same, item.mean(axis=(-2, -1))


def _counts(intervals: Intervals, null: Intervals, truth: Array) -> tuple[int, int]:
    """How many cover the truth, and how many of an arm against itself are rejected."""
    covered = int(((intervals.low <= truth) & (truth <= intervals.high)).sum())
    return covered, int((null.p < LEVEL).sum())


def _rejected(null: Intervals) -> int:
    return int((null.p < LEVEL).sum())


def _dominated(values: Array) -> Array:
    """Whether one value dominates a data set of (simulations, seeds, items)."""
    return one_value_dominates(values.reshape(len(values), -1))
