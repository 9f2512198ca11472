"""Paired estimates with intervals, each naming what it is about."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.evidence.statistics.intervals import two_level

ITEMS_TARGET = "this benchmark's items, over training seeds"
BOTH_TARGET = "the population of items, over training seeds"
POPULATION_TARGET = "the population of items, at this one seed"
RUNS_TARGET = "repeated runs on this device"
POWER, LEVEL = 0.8, 0.05
FEWEST_SEEDS, FEWEST_ITEMS = 3, 10
TINY = 1e-12
MCNEMAR_BELOW = 25


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95% interval; what could not be computed is None, with the reason.

    `detectable` is the smallest true effect found with 80% power at this n. `error` is the standard
    error (of a ratio: that of its logarithm) and `freedom` its degrees of freedom, where the interval is
    Student's.
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


def mean_interval(values: Sequence[float], target: str) -> Estimate:
    """Mean with a t interval (Student 1908) over independent values; one value has none."""
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, None, target, reason="no values")
    odd = sum(not math.isfinite(v) for v in values)
    if odd:
        return Estimate(None, None, None, n, None, target, reason=f"{odd} of {n} values are not finite")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1, None, target, reason="one seed has no interval")
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    if sd <= 1e-12 * max(1.0, abs(mean)):
        if mean == 0:
            return Estimate(mean, mean, mean, n, 1.0, target, identical=True)
        return Estimate(mean, None, None, n, None, target, reason="no spread to judge it by")
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
    return sd / math.sqrt(n) * _detectable_shift(n)


@functools.lru_cache
def _detectable_shift(n: int) -> float:
    """`detectable` in standard errors; it depends on n alone."""
    from scipy import optimize, stats

    critical = float(stats.t.ppf(1 - LEVEL / 2, n - 1))

    def shortfall(shift: float) -> float:
        # The other tail adds nothing at 80% power, and its routine fails for large shifts.
        return float(stats.nct.sf(critical, n - 1, shift)) - POWER

    return float(optimize.brentq(shortfall, 1e-6, 3 * critical + 10))


def paired_items(a: Mapping[str, float], b: Mapping[str, float]) -> Estimate:
    """Mean of per-item differences a - b over the items both have, at one seed.

    SE = sd / sqrt(n). Where every disagreement weighs the same, as between right and wrong or
    between win, tie and loss, and fewer than 25 items disagree, p is the exact one of McNemar
    (1947), which is a sign test, and the interval is dropped.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        return Estimate(None, None, None, 0, None, POPULATION_TARGET, reason="no shared items")
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


def paired_seeds(a: Mapping[int, Mapping[str, float]], b: Mapping[int, Mapping[str, float]]) -> Estimate:
    """Mean of seed-level differences, each over the items that both arms have at that seed.

    Identical means equal item by item: equal means of unequal items are merely not separable.
    """
    differences, same_items = [], True
    for seed in sorted(a.keys() & b.keys()):
        shared = a[seed].keys() & b[seed].keys()
        if shared:
            differences.append(math.fsum(a[seed][i] - b[seed][i] for i in sorted(shared)) / len(shared))
            same_items = same_items and all(a[seed][i] == b[seed][i] for i in shared)
    found = mean_interval(differences, ITEMS_TARGET)
    if found.identical and not same_items:
        reason = "the means are equal at every seed, the items are not"
        return replace(found, low=None, high=None, identical=False, reason=reason)
    return found


def paired_both(a: Mapping[int, Mapping[str, float]], b: Mapping[int, Mapping[str, float]]) -> Estimate:
    """Mean difference a - b about the population of items and of training seeds alike.

    Two-level analysis of the items that both arms have at every seed; see `intervals.two_level`.
    """
    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < FEWEST_SEEDS:
        reason = f"fewer than {FEWEST_SEEDS} seeds, for which this interval was not calibrated"
        return Estimate(None, None, None, len(seeds), None, BOTH_TARGET, reason=reason)
    items = sorted(set.intersection(*({*a[s]} & {*b[s]} for s in seeds)))
    if len(items) < FEWEST_ITEMS:
        reason = f"fewer than {FEWEST_ITEMS} items that both arms have at every seed"
        return Estimate(None, None, None, len(seeds), None, BOTH_TARGET, reason=reason)
    import numpy as np

    table = np.array([[a[s][i] - b[s][i] for i in items] for s in seeds])
    if not np.isfinite(table).all():
        return Estimate(None, None, None, len(seeds), None, BOTH_TARGET, reason="some values are not finite")
    if not table.any():
        return Estimate(0.0, 0.0, 0.0, len(seeds), 1.0, BOTH_TARGET, identical=True)
    found = two_level(table)
    if float(found.error) <= TINY:
        reason = "no spread to judge it by"
        return Estimate(float(found.mean), None, None, len(seeds), None, BOTH_TARGET, reason=reason)
    low, high, p = float(found.low), float(found.high), float(found.p)
    error, freedom = float(found.error), float(found.freedom)
    return Estimate(float(found.mean), low, high, len(seeds), p, BOTH_TARGET, error=error, freedom=freedom)


def log_ratio(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Geometric mean of a / b with a t interval on the paired logs, n being pairs.

    A figure of zero (a counter too coarse for a short stage) has no ratio.
    """
    if any(v <= 0 for v in (*a, *b)):
        return Estimate(None, None, None, len(a), None, RUNS_TARGET, reason="a measured figure is zero")
    logs = [math.log(x / y) for x, y in zip(a, b, strict=True)]
    inner = mean_interval(logs, RUNS_TARGET)

    def back(value: float | None) -> float | None:
        return None if value is None else math.exp(value)

    return Estimate(
        back(inner.value),
        back(inner.low),
        back(inner.high),
        inner.n,
        inner.p,
        RUNS_TARGET,
        back(inner.detectable),
        inner.identical,
        inner.reason,
        inner.error,
        inner.freedom,
    )


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95% interval of a proportion (Wilson 1927)."""
    z = 1.959963984540054
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(successes * (n - successes) / n + z * z / 4)
    return centre - half, centre + half
