"""Does one arm's gain vary less between runs than another's?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.estimate import TINY, Estimate
from harness.evidence.statistics.intervals import LEVEL, Array
from harness.evidence.statistics.meta import Effect, pool, within_units

FEWEST_RUNS = 5
RATIO_TARGET = "the spread of gains between models and data sets like these"


@dataclass(frozen=True)
class Stability:
    """How two arms' gains spread over the same units.

    `ratio` is the standard deviation of a's measured gains over that of b's. `tau_a` and `tau_b` are the
    standard deviations of true gains, the runs' own errors taken off. `equal` are the smallest and the
    largest ratio that equal true spreads can give where the arms' errors differ.
    """

    ratio: Estimate
    tau_a: float | None = None
    tau_b: float | None = None
    equal: tuple[float, float] = (1.0, 1.0)

    @property
    def more_stable(self) -> bool | None:
        """Whether a spreads less than b, False for more; None where neither can be told."""
        if self.ratio.low is None or self.ratio.high is None:
            return None
        if self.ratio.high < self.equal[0]:
            return True
        return False if self.ratio.low > self.equal[1] else None


@dataclass(frozen=True)
class SpreadRatios:
    """Ratios of paired standard deviations with 95% interval and p of equality, one a data set."""

    ratio: Array
    low: Array
    high: Array
    p: Array


def spread_ratios(a: Array, b: Array) -> SpreadRatios:
    """Standard deviation of `a` over that of `b`, paired over the last axis (..., k) with k of 3 or more.

    Pitman (1939) and Morgan (1939): the variances' ratio F has the interval F (K +- sqrt(K^2 - 1)), where
    K = 1 + 2 (1 - r^2) t^2 / (k - 2). It is exact for normal values, however they are correlated.
    """
    from scipy import stats

    k = a.shape[-1]
    left, right = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    squares_a, squares_b = np.square(left).sum(axis=-1), np.square(right).sum(axis=-1)
    apart = np.maximum(1 - np.square((left * right).sum(axis=-1)) / (squares_a * squares_b), TINY)
    t = float(stats.t.ppf(1 - LEVEL / 2, k - 2))
    widening = 1 + 2 * apart * t**2 / (k - 2)
    root = np.sqrt(np.square(widening) - 1)
    square = squares_a / squares_b
    statistic = np.abs(square - 1) * np.sqrt((k - 2) / (4 * square * apart))
    p = 2 * stats.t.sf(statistic, k - 2)
    # widening - root is 1 / (widening + root), which loses no digits.
    return SpreadRatios(
        np.sqrt(square), np.sqrt(square / (widening + root)), np.sqrt(square * (widening + root)), p
    )


def stability(a: Sequence[Effect], b: Sequence[Effect]) -> Stability:
    """Spread of two arms' gains over the same units, effect by effect in the same order.

    A measured spread holds the errors of the runs: equal true spreads s give the ratio
    sqrt((s^2 + e_a^2) / (s^2 + e_b^2)), which lies between e_a / e_b and 1, so nothing is said unless the
    interval lies beyond both. Profile likelihood and bootstraps over runs are not exact at 5 units.
    """
    k = len({effect.unit for effect in a})
    if k < FEWEST_RUNS:
        reason = f"{k} models and data sets, needs at least {FEWEST_RUNS}"
        return Stability(Estimate.absent(reason, n=k, target=RATIO_TARGET))
    left, left_squares, _ = within_units(a)
    right, right_squares, _ = within_units(b)
    if min(left.std(), right.std()) <= TINY:
        return Stability(Estimate.absent("an arm's gains do not vary at all", n=k, target=RATIO_TARGET))
    one = spread_ratios(left, right)
    errors = math.sqrt(left_squares.mean() / right_squares.mean())
    return Stability(
        Estimate(float(one.ratio), float(one.low), float(one.high), k, float(one.p), RATIO_TARGET),
        math.sqrt(float(pool(left, left_squares).between)),
        math.sqrt(float(pool(right, right_squares).between)),
        (min(1.0, errors), max(1.0, errors)),
    )
