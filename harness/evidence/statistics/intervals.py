"""Intervals over many data sets at once: arrays in, arrays out, so that what is calibrated is what runs.

Scores that are shares are often nearly always 1, or two arms differ on few items only; then a sample says
little about its own spread. Where one value holds at least half of the items, one pseudo-item at each end of
the scale is added (Laplace's rule; for paired wins and losses the interval of Bonett and Price 2012, equation
8). So a perfect record has an interval, and one that is honest about what it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVEL = 0.05
SKEWED = 16


@dataclass(frozen=True)
class Ends:
    """The ends of a scale between which pseudo-items are added, where `few` says so.

    `low`, `high` and `few` have the shape of the data sets, or are scalars.
    """

    low: Array | float
    high: Array | float
    few: Array | bool


@dataclass(frozen=True)
class Intervals:
    """Means with standard error, degrees of freedom, two-sided 95% interval and p of a mean of zero.

    `centre` is what the interval is symmetric about: the mean with its pseudo-items. Every field has the
    shape of the data sets, the axes of seeds and items taken away.
    """

    mean: Array
    centre: Array
    error: Array
    freedom: Array
    low: Array
    high: Array
    p: Array


def one_value_dominates(values: Array) -> Array:
    """Whether the commonest value of the last axis holds at least half of it: shape (...)."""
    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    middle = (ordered[..., [(n - 1) // 2]], ordered[..., [n // 2]])
    counts = [(values == value).sum(axis=-1) for value in middle]
    return np.asarray(2 * np.maximum(*counts) >= n)


def skewness(values: Array) -> Array:
    """Sample skewness over the last axis, 0 where nothing varies: shape (...)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=-1))
    return np.asarray((centred**3).mean(axis=-1) / np.where(spread > 0, spread, 1.0) ** 3)


def too_skewed(values: Array) -> Array:
    """Whether Student's interval of n values is not to be believed: n < 16 x skewness^2.

    The second-order term of its Edgeworth expansion (Hall 1987) is a miss of 1.5 points at that skewness. A
    sample that happens to lack its tail still gets an interval; over all samples at most 7% print one that
    misses (`harness calibrate`).
    """
    return np.asarray(values.shape[-1] < SKEWED * np.square(skewness(values)))


def t_intervals(values: Array) -> Intervals:
    """Student's t (1908) over the last axis of independent values, shape (..., n) with n of 2 or more."""
    n = values.shape[-1]
    error = values.std(axis=-1, ddof=1) / np.sqrt(n)
    mean = values.mean(axis=-1)
    return _of(mean, mean, error, np.full(error.shape, n - 1.0))


def over_items(values: Array, ends: Ends, *, effective: Array | float | None = None) -> Intervals:
    """The mean over items, or over clusters of them, drawn from a population: `values` is (..., n).

    Where one value dominates, pseudo-items stand at the ends and the quantile is the normal one, which
    keeps 95% for wins and losses (`harness calibrate`). `effective` is the number of equal clusters that
    weigh as much as the n that there are (Kish 1965), and stands for n in the variance and its degrees of
    freedom.
    """
    n = values.shape[-1]
    plain = t_intervals(values)
    if effective is not None:
        larger = np.sqrt(effective / (effective - 1) * (n - 1) / n)
        plain = _of(plain.mean, plain.mean, plain.error * larger, plain.freedom * 0 + effective - 1)
    total = n + 2
    centre = (values.sum(axis=-1) + ends.low + ends.high) / total
    squares = np.square(values).sum(axis=-1) + np.square(ends.low) + np.square(ends.high)
    variance = np.maximum(squares / total - np.square(centre), 0.0) * total / (total - 1)
    freedom = np.full(plain.error.shape, np.inf) if effective is None else plain.freedom
    with_ends = _of(plain.mean, centre, np.sqrt(variance / total), freedom)
    return _where(ends.few, with_ends, plain)


def over_seeds(values: Array, ends: Ends, items: int) -> Intervals:
    """The mean over seeds for the same items: `values` is (..., seeds), each the mean of `items` items.

    Where one value dominates, seeds that agree by chance say too little of their spread: where their standard
    error is below that of two pseudo-items, one at each end, among all items of all seeds, that one stands.
    """
    plain = t_intervals(values)
    total = values.shape[-1] * items + 2
    centre = (plain.mean * (total - 2) + ends.low + ends.high) / total
    least = np.sqrt(np.square(ends.low - centre) + np.square(ends.high - centre)) / total
    return _where(ends.few & (plain.error < least), _of(plain.mean, centre, least, plain.freedom), plain)


def over_both(table: Array, ends: Ends) -> Intervals:
    """`two_level`, with an item at each end at every seed where one value dominates."""
    plain = two_level(table)
    if not np.any(ends.few):
        return plain
    shape = (*table.shape[:-1], 1)
    low, high = (
        np.broadcast_to(np.asarray(end, dtype=float)[..., None, None], shape) for end in (ends.low, ends.high)
    )
    widened = two_level(np.concatenate([table, low, high], axis=-1))
    with_ends = _of(plain.mean, widened.centre, widened.error, widened.freedom)
    return _where(ends.few, with_ends, plain)


def two_level(table: Array) -> Intervals:
    """Mean over seeds and items that are both drawn from populations; `table` is (..., seeds, items).

    Crossed random effects: a difference is mean + seed + item + rest. The mean squares of the two-way
    analysis of variance give the variance of the mean as (MS_seed + MS_item - MS_rest) / (seeds x items)
    (Searle, Casella, McCulloch 1992, chapter 4), with Satterthwaite's (1946) degrees of freedom. Where
    noise makes the sum smaller than its larger part, that part stands; where the seeds' part is the
    larger, the degrees of freedom are at most seeds - 1. Both keep 95% where few seeds would lose it
    (`harness calibrate`).
    """
    seeds, items = table.shape[-2:]
    mean = table.mean(axis=(-2, -1))
    by_seed, by_item = table.mean(axis=-1), table.mean(axis=-2)
    rest = table - by_seed[..., None] - by_item[..., None, :] + mean[..., None, None]
    ms_seed = items * by_seed.var(axis=-1, ddof=1)
    ms_item = seeds * by_item.var(axis=-1, ddof=1)
    ms_rest = np.square(rest).sum(axis=(-2, -1)) / ((seeds - 1) * (items - 1))
    total = np.maximum(ms_seed + ms_item - ms_rest, np.maximum(ms_seed, ms_item))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.square(total) / (
            np.square(ms_seed) / (seeds - 1)
            + np.square(ms_item) / (items - 1)
            + np.square(ms_rest) / ((seeds - 1) * (items - 1))
        )
    freedom = np.where(ms_seed > ms_item, np.minimum(freedom, seeds - 1.0), freedom)
    return _of(mean, mean, np.sqrt(total / (seeds * items)), np.maximum(freedom, 1.0))


def _of(mean: Array, centre: Array, error: Array, freedom: Array) -> Intervals:
    from scipy import stats

    half = stats.t.ppf(1 - LEVEL / 2, freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(centre) / error, freedom)
    return Intervals(mean, centre, error, freedom, centre - half, centre + half, p)


def _where(few: Array | bool, one: Intervals, other: Intervals) -> Intervals:
    """`one` for the data sets where `few` holds, `other` for the rest."""
    names = ("mean", "centre", "error", "freedom", "low", "high", "p")
    return Intervals(*(np.where(few, getattr(one, name), getattr(other, name)) for name in names))
