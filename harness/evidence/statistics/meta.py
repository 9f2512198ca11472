"""Random effects over runs: one combined effect with its interval, what one more run would measure, and
how much runs differ beyond their own errors.

Runs have few seeds, and an error that 3 seeds give is itself known within a factor of two. Taken as exact
such errors let one run that looks precise by chance decide: 95% intervals over 10 runs of 3 seeds then
covered 89%. So each error is first moderated towards the mean of all (`moderated`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.estimate import TINY, Estimate, detectable
from harness.evidence.statistics.intervals import LEVEL, Array

PRIOR_FREEDOM = 4.0
FEWEST_TO_PREDICT = 3
HALVINGS = 40
NO_SPREAD = "the same in every run, no spread to judge it by"


@dataclass(frozen=True)
class Effect:
    """One run's effect with its standard error and that error's degrees of freedom (infinite: exact).

    Effects of one `unit` repeat each other, and count once together.
    """

    value: float
    error: float
    freedom: float
    unit: str


@dataclass(frozen=True)
class Pooled:
    """Over the last axis of effects: mean, its error, variance between effects, weights (..., k) that sum
    to 1, and Cochran's Q."""

    mean: Array
    error: Array
    between: Array
    weights: Array
    q: Array

    def ahead(self, variances: Array) -> Array:
        """Standard error of what one more unit with a typical error would measure."""
        squares: Array = self.between + variances.mean(axis=-1) + np.square(self.error)
        return np.sqrt(squares)


@dataclass(frozen=True)
class Combined:
    """The combined effect of `estimate.n` units, with `estimate.freedom` one less.

    `tau` is the standard deviation of true effects between units, `predicted` the 95% interval of what one
    more unit would measure (from 3 units), `q_p` the p of no such deviation, `i2` its share of all
    variance; these are None where they cannot be said. `weights` are those of the effects, in their order.
    """

    estimate: Estimate
    tau: float
    predicted: tuple[float, float] | None
    i2: float | None
    q_p: float | None
    weights: tuple[float, ...]


def combine(effects: Sequence[Effect], target: str) -> Combined | None:
    """Random-effects mean with the guarded Hartung-Knapp interval; None with fewer than 2 units.

    Effects of one unit are combined by their precision first, so that a unit counts once.
    """
    names = list(dict.fromkeys(effect.unit for effect in effects))
    if len(names) < 2:
        return None
    values, variances, shares = within_units(effects)
    if not variances.any() and np.ptp(values) <= TINY * max(1.0, float(np.abs(values).max())):
        return _without_spread(float(values[0]), names, shares, target)
    pooled = pool(values, variances)
    weight = dict(zip(names, pooled.weights, strict=True))
    freedom = len(names) - 1
    q_p, i2 = _heterogeneity(effects, float(pooled.q), freedom)
    return Combined(
        _student(float(pooled.mean), float(pooled.error), freedom, target),
        math.sqrt(float(pooled.between)),
        _predicted(pooled, variances),
        i2,
        q_p,
        tuple(float(weight[e.unit] * share) for e, share in zip(effects, shares, strict=True)),
    )


def moderated(variances: Array, freedom: Array) -> Array:
    """Squared errors (..., k), each moderated towards their mean: (d v + d0 mean) / (d + d0).

    Smyth (2004); d0 is fixed at 4 since few runs cannot estimate it, and calibrated
    (`calibration_meta`). Errors of infinite freedom stay.
    """
    kept = 1 / (1 + PRIOR_FREEDOM / freedom)
    towards_mean: Array = kept * variances + (1 - kept) * variances.mean(axis=-1, keepdims=True)
    return towards_mean


def within_units(effects: Sequence[Effect]) -> tuple[Array, Array, Array]:
    """Value and moderated squared error by unit (num_units,), and each effect's share of its unit."""
    squares = np.array([effect.error**2 for effect in effects])
    squares = moderated(squares, np.array([effect.freedom for effect in effects]))
    precision = 1 / squares if squares.all() else np.ones(len(effects))
    totals: dict[str, float] = {}
    for effect, own in zip(effects, precision, strict=True):
        totals[effect.unit] = totals.get(effect.unit, 0.0) + float(own)
    shares = np.array([own / totals[e.unit] for e, own in zip(effects, precision, strict=True)])
    values, variances = dict.fromkeys(totals, 0.0), dict.fromkeys(totals, 0.0)
    for effect, share, square in zip(effects, shares, squares, strict=True):
        values[effect.unit] += share * effect.value
        variances[effect.unit] += share**2 * square
    return np.array(list(values.values())), np.array(list(variances.values())), shares


def pool(values: Array, variances: Array, *, guarded: bool = True) -> Pooled:
    """Inverse-variance mean over the last axis of independent effects (..., k) with k of 2 or more.

    The variance between effects is that of Paule and Mandel (1982): the one at which the weighted sum of
    squares is k - 1. It needs no likelihood, holds up beside REML (Veroniki et al. 2016), and makes
    Hartung and Knapp's (2001) factor 1 wherever it is above zero. The guard (Roever, Knapp and
    Friede 2015) lets that factor fall to no less than 1 elsewhere: effects that agree by chance
    get no error below that of the fixed-effect mean. To be read by t with k - 1 degrees of freedom.
    """
    k = values.shape[-1]
    low, high = np.zeros(values.shape[:-1]), values.var(axis=-1, ddof=1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = _squares(values, variances, middle)[2] > k - 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    mean, weights, squares = _squares(values, variances, low)
    factor = np.maximum(squares / (k - 1), 1.0) if guarded else squares / (k - 1)
    total = weights.sum(axis=-1)
    error = np.sqrt(factor / total)
    q = _squares(values, variances, np.zeros_like(low))[2]
    return Pooled(mean, error, low, weights / total[..., None], q)


def _squares(values: Array, variances: Array, between: Array) -> tuple[Array, Array, Array]:
    """Mean, weights and weighted sum of squares at a variance between effects."""
    total = variances + between[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = 1 / total
        mean = (weights * values).sum(axis=-1) / weights.sum(axis=-1)
        return mean, weights, (weights * np.square(values - mean[..., None])).sum(axis=-1)


def _student(value: float, error: float, freedom: int, target: str) -> Estimate:
    from scipy import stats

    n = freedom + 1
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom))
    smallest = detectable(error * math.sqrt(n), n)
    return Estimate(
        value, value - half, value + half, n, p, target, smallest, error=error, freedom=float(freedom)
    )


def _without_spread(value: float, names: Sequence[str], shares: Array, target: str) -> Combined:
    """Exact effects that are all the same: no test, and the word identical where they are none."""
    n, nothing = len(names), value == 0
    bound, p = (0.0, 1.0) if nothing else (None, None)
    reason = None if nothing else NO_SPREAD
    estimate = Estimate(value, bound, bound, n, p, target, identical=nothing, reason=reason)
    return Combined(estimate, 0.0, None, None, None, tuple(float(share) / n for share in shares))


def _predicted(pooled: Pooled, variances: Array) -> tuple[float, float] | None:
    """95% prediction interval of the effect that one more unit with a typical error would measure.

    Higgins, Thompson and Spiegelhalter (2009) with the typical error added, as for a new study's
    estimate, and k - 1 degrees of freedom as Partlett and Riley (2017) discuss. Theirs, of the true effect
    alone, covered 87% at 10 units where true effects vary as much as errors; this one covers 95% or more,
    and can be held against the next run.
    """
    from scipy import stats

    k = len(variances)
    if k < FEWEST_TO_PREDICT:
        return None
    half = float(stats.t.ppf(1 - LEVEL / 2, k - 1)) * float(pooled.ahead(variances))
    return float(pooled.mean) - half, float(pooled.mean) + half


def _heterogeneity(effects: Sequence[Effect], q: float, freedom: int) -> tuple[float | None, float | None]:
    """p of Cochran's Q (1954), and I^2 (Higgins and Thompson 2002); None for exact effects.

    Q / (k - 1) is held against F with Satterthwaite's (1946) degrees of freedom of the mean squared error.
    The usual chi-squared takes errors as exact: at 2 to 5 seeds it rejected equal effects in 9 to 25%.
    """
    if not math.isfinite(q):
        return None, None
    from scipy import stats

    squares = [effect.error**2 for effect in effects]
    doubt = sum(s**2 / e.freedom for s, e in zip(squares, effects, strict=True))
    denominator = min(sum(squares) ** 2 / doubt if doubt else math.inf, 1e9)
    return float(stats.f.sf(q / freedom, freedom, denominator)), max(0.0, 1 - freedom / q) if q else 0.0
