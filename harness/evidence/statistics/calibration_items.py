"""The grid of one seed: wins, ties and losses up to their bounds, long tails, items that share a source."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import Case, Cell
from harness.evidence.statistics.intervals import (
    LEVEL,
    Array,
    Ends,
    Intervals,
    one_value_dominates,
    over_items,
    too_skewed,
)
from harness.evidence.statistics.linearised import effective, linearise

ITEMS = (20, 50, 100, 400, 800)
RATES = (0.5, 0.7, 0.9, 0.95, 0.97, 0.985)
TIES = (0.0, 0.5, 0.8)
NEAR, BLOCKS = 0.01, 10
"""Coverage of counts jumps from one rate and number to the next: rates are drawn this close to the stated
one, and these blocks of simulations have from a tenth fewer to a tenth more items."""
DECIDING = 20
"""Fewer deciding items of the rarer kind than this make an interval wide."""
LOG_SDS = (0.25, 0.5, 1.0, 1.5)
CLUSTERS = ((20, 5), (80, 2), (100, 5))
CORRELATIONS = (0.0, 0.3, 0.7)


def item_cases(simulations: int) -> Iterator[Cell]:
    """Every cell of one seed."""
    for n in ITEMS:
        for ties in TIES:
            for rate in RATES:
                yield partial(_wins, n, ties, rate, simulations)
        for sd in LOG_SDS:
            yield partial(_long_tail, n, sd, simulations)
    for groups, size in CLUSTERS:
        for correlation in CORRELATIONS:
            yield partial(_clustered, groups, size, correlation, simulations)


def _wins(n: int, ties: float, rate: float, simulations: int) -> Case:
    """Wins, ties and losses; `rate` is that of wins among the decided, 0.5 being an arm against itself."""
    rng = np.random.default_rng([n, round(100 * ties), round(1000 * rate)])
    shares = []
    for number in np.linspace(0.9 * n, 1.1 * n, BLOCKS).round().astype(int):
        rates = rate + (0.0 if rate == 0.5 else NEAR) * rng.uniform(-1, 1, simulations // BLOCKS)
        drawn = rng.random((simulations // BLOCKS, number))
        win, loss = (1 - ties) * rates[:, None], (1 - ties) * (1 - rates[:, None])
        values = np.where(drawn < win, 0.5, np.where(drawn < win + loss, -0.5, 0.0))
        intervals = over_items(values, Ends(-0.5, 0.5, one_value_dominates(values)))
        shares.append(_shares(intervals, (1 - ties) * (rates - 0.5)))
    covered, rejected = (float(np.mean(column)) for column in zip(*shares, strict=True))
    return Case(
        "items of one seed: wins, ties, losses",
        f"{n} items, {ties:.0%} ties, {rate:.1%} won of the rest",
        covered,
        rejected if rate == 0.5 else None,
        wide=n * (1 - ties) * (1 - rate) < DECIDING,
    )


def _long_tail(n: int, sd: float, simulations: int) -> Case:
    """Lognormal items; an arm against itself is the difference of two of them."""
    rng = np.random.default_rng([n, round(100 * sd)])
    first, second = np.exp(sd * rng.standard_normal((2, simulations, n), dtype=np.float32))
    printed = ~too_skewed(first)
    covered, _ = _shares(_plain(first), np.exp(sd**2 / 2), printed)
    difference = first - second
    _, rejected = _shares(_plain(difference), np.zeros(1), ~too_skewed(difference))
    setting = f"{n} items, lognormal, sd of the logarithm {sd:g}"
    return Case("items of one seed: long tails", setting, covered, rejected, printed=float(printed.mean()))


def _clustered(groups: int, size: int, correlation: float, simulations: int) -> Case:
    """Clusters of a drawn number of items, `size` on average, that share a part of their value."""
    rng = np.random.default_rng([groups, size, round(100 * correlation)])
    counts = rng.integers(1, 2 * size, (simulations, 1, groups)) if size > 1 else np.ones((1, 1, groups))
    shared = np.sqrt(correlation) * rng.standard_normal(counts.shape)
    rest = np.sqrt((1 - correlation) / counts) * rng.standard_normal(counts.shape)
    table = linearise(counts * (shared + rest), counts.astype(float))
    intervals = over_items(table[:, 0], Ends(0, 0, False), effective=effective(counts[:, 0]))
    covered, rejected = _shares(intervals, np.zeros(1))
    setting = f"{groups} clusters of {size} on average, correlation {correlation:g}"
    return Case("items of one seed, in clusters", setting, covered, rejected)


def _plain(values: Array) -> Intervals:
    return over_items(values, Ends(0.0, 0.0, False))


def _shares(intervals: Intervals, truth: Array | float, printed: Array | bool = True) -> tuple[float, float]:
    """Shares covered (a refusal is no miss) and rejected (a refusal is none)."""
    covered = (intervals.low <= truth) & (truth <= intervals.high) | ~np.asarray(printed)
    return float(covered.mean()), float(((intervals.p < LEVEL) & printed).mean())
