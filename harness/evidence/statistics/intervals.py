"""Intervals over many data sets at once: arrays in, arrays out, so that what is calibrated is what runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVEL = 0.05


@dataclass(frozen=True)
class Intervals:
    """Means with standard error, degrees of freedom, two-sided 95% interval and p of a mean of zero.

    Every field has the shape of the data sets, the axes of seeds and items taken away.
    """

    mean: Array
    error: Array
    freedom: Array
    low: Array
    high: Array
    p: Array


def t_intervals(values: Array) -> Intervals:
    """Student's t (1908) over the last axis of independent values, shape (..., n) with n of 2 or more."""
    n = values.shape[-1]
    error = values.std(axis=-1, ddof=1) / np.sqrt(n)
    return _of(values.mean(axis=-1), error, np.full(error.shape, n - 1.0))


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
    return _of(mean, np.sqrt(total / (seeds * items)), np.maximum(freedom, 1.0))


def _of(mean: Array, error: Array, freedom: Array) -> Intervals:
    from scipy import stats

    half = stats.t.ppf(1 - LEVEL / 2, freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean) / error, freedom)
    return Intervals(mean, error, freedom, mean - half, mean + half, p)
