"""Estimates with intervals, each naming what it is about."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evidence.statistics.intervals import LEVEL

ITEMS_TARGET = "this benchmark's items, over training seeds"
BOTH_TARGET = "the population of items, over training seeds"
POPULATION_TARGET = "the population of items, at this one seed"
RUNS_TARGET = "repeated runs on this device"
KIND_TARGET = "repeated runs on devices of this kind"
POWER = 0.8
NO_SPREAD = "no spread to judge it by"
TINY = 1e-12


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95% interval; what could not be computed is None, with the reason.

    `detectable` is the smallest true effect found with 80% power at this n. `error` is the standard
    error (of a ratio: that of its logarithm), `freedom` its degrees of freedom, and `centre` what the
    interval is symmetric about where that is not the value. `items` are the distinct items behind it,
    `clusters` the groups of them where some hold several, `absent_values` what seeds lack of these items.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    target: str
    detectable: float | None = None
    identical: bool = False
    reason: str | None = None
    error: float | None = None
    freedom: float | None = None
    centre: float | None = None
    items: int | None = None
    clusters: int | None = None
    absent_values: int = 0

    @property
    def middle(self) -> float | None:
        """What the interval and the tests are about: `centre`, else the value."""
        return self.value if self.centre is None else self.centre

    @classmethod
    def absent(cls, reason: str, *, n: int = 0, target: str = "") -> Estimate:
        """No estimate from `n` values, and why."""
        return cls(None, None, None, n, None, target, reason=reason)


def mean_interval(values: Sequence[float], target: str) -> Estimate:
    """Mean with a t interval (Student 1908) over independent values; one value has none."""
    n = len(values)
    if n == 0:
        return Estimate.absent("no values", target=target)
    odd = sum(not math.isfinite(v) for v in values)
    if odd:
        return Estimate.absent(f"{odd} of {n} values are not finite", n=n, target=target)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1, None, target, reason="one seed has no interval")
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    if sd <= TINY * max(1.0, abs(mean)):
        if mean == 0:
            return Estimate(mean, mean, mean, n, 1.0, target, identical=True)
        return Estimate(mean, None, None, n, None, target, reason=NO_SPREAD)
    from scipy import stats

    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * sd / math.sqrt(n)
    p = float(2 * stats.t.sf(abs(mean) / (sd / math.sqrt(n)), n - 1))
    spread = sd / math.sqrt(n)
    return Estimate(
        mean, mean - half, mean + half, n, p, target, detectable(sd, n), error=spread, freedom=n - 1.0
    )


def detectable(sd: float, n: int) -> float:
    """Smallest effect that a two-sided paired t test finds with 80% power.

    Under the effect d, the statistic is noncentral t with n - 1 degrees of freedom and shift
    d * sqrt(n) / sd (Cohen 1988, chapter 2).
    """
    return detectable_error(sd / math.sqrt(n), n - 1.0)


def detectable_error(error: float, freedom: float) -> float:
    """`detectable` of an estimate with this standard error and so many degrees of freedom."""
    # Satterthwaite's degrees of freedom are rarely whole: rounded, they share what is looked up.
    return error * _detectable_shift(round(freedom, 1) if math.isfinite(freedom) else freedom)


@functools.cache
def _detectable_shift(freedom: float) -> float:
    """`detectable` in standard errors; it depends on the degrees of freedom alone."""
    from scipy import optimize, stats

    critical = float(stats.t.ppf(1 - LEVEL / 2, freedom))
    if freedom > 1e6:
        return critical + float(stats.norm.ppf(POWER))

    def shortfall(shift: float) -> float:
        # The other tail adds nothing at 80% power, and its routine fails for large shifts.
        return float(stats.nct.sf(critical, freedom, shift)) - POWER

    return float(optimize.brentq(shortfall, 1e-6, 3 * critical + 10))


def log_ratio(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Geometric mean of a / b with a t interval on the paired logs, n being pairs.

    A figure of zero (a counter too coarse for a short stage) has no ratio.
    """
    if any(v <= 0 for v in (*a, *b)):
        return Estimate.absent("a measured figure is zero", n=len(a), target=RUNS_TARGET)
    logs = [math.log(x / y) for x, y in zip(a, b, strict=True)]
    return exponential(mean_interval(logs, RUNS_TARGET))


def exponential(logs: Estimate) -> Estimate:
    """A ratio from its logarithm; error and degrees of freedom stay those of the logarithm."""

    def back(value: float | None) -> float | None:
        return None if value is None else math.exp(value)

    value, low, high, detectable = map(back, (logs.value, logs.low, logs.high, logs.detectable))
    return replace(logs, value=value, low=low, high=high, detectable=detectable)
