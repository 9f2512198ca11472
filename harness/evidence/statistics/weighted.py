"""A weighted sum of several scores' mean differences, with the correlation of scores that share items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.evidence.statistics.estimate import (
    ITEMS_TARGET,
    NO_SPREAD,
    POPULATION_TARGET,
    Estimate,
    detectable_error,
    mean_interval,
)
from harness.evidence.statistics.intervals import LEVEL, Array
from harness.evidence.statistics.linearised import Clusters, Items, linearise
from harness.evidence.statistics.paired import items_estimate, seeds_estimate

CANCELLED = "the scores differ, and their differences cancel"
CLEARLY = 1e-9
"""Share of a variance that is more than the noise of its arithmetic."""


@dataclass(frozen=True)
class Part:
    """One score: per-item differences at each seed, to be taken `factor` times; all parts have the same."""

    name: str
    factor: float
    by_seed: Sequence[Items]
    clusters: Clusters

    @property
    def values(self) -> Array:
        """Every difference there is: (items over seeds,)."""
        return np.array([table[item] for table in self.by_seed for item in sorted(table)])


def weighted_sum(parts: Sequence[Part]) -> Estimate:
    """Sum over parts of factor times mean difference: over seeds, or of one seed over the parts' items.

    Identical means that every part is, item by item.
    """
    seeds = len(parts[0].by_seed)
    target = POPULATION_TARGET if seeds == 1 else ITEMS_TARGET
    for part in parts:
        odd = int((~np.isfinite(part.values)).sum())
        if odd:
            reason = f"{part.name}: {odd} of {len(part.values)} values are not finite"
            return Estimate.absent(reason, n=seeds, target=target)
    whole = _over_items(parts) if seeds == 1 else _over_seeds(parts)
    if whole.identical and any(part.values.any() for part in parts):
        return replace(whole, low=None, high=None, identical=False, reason=CANCELLED)
    return whole


def _over_seeds(parts: Sequence[Part]) -> Estimate:
    """Student's t over one sum a seed, which has the parts' correlation in it.

    Where seeds of a part agree by chance, its standard error is at least what `intervals.over_seeds` says;
    what that adds to the part's own variance is added here, and the ends of the scales cut the interval.
    """
    means = np.array([[part.factor * math.fsum(t.values()) / len(t) for t in part.by_seed] for part in parts])
    plain = mean_interval([math.fsum(column) for column in means.T], ITEMS_TARGET)
    items = sum(len(set().union(*part.by_seed)) for part in parts)
    plain = replace(plain, items=items)
    n, added, shift = plain.n, 0.0, 0.0
    for part, of_part in zip(parts, means, strict=True):
        one = seeds_estimate(part.by_seed)
        if one.error is None or one.value is None or one.middle is None:
            continue
        least = (part.factor * one.error) ** 2
        lacking = least - float(of_part.var(ddof=1)) / n
        if lacking > CLEARLY * least:
            added += lacking
            shift += part.factor * (one.middle - one.value)
    if not added or plain.value is None:
        return plain
    error = math.sqrt((plain.error or 0.0) ** 2 + added)
    whole = _judged(plain, plain.value + shift, error, n - 1.0)
    end = math.fsum(abs(part.factor) * float(np.abs(part.values).max()) for part in parts)
    return replace(whole, low=max(whole.low or 0.0, -end), high=min(whole.high or 0.0, end))


def _over_items(parts: Sequence[Part]) -> Estimate:
    """Independent groups of parts: variances add, with Welch's (1947) and Satterthwaite's (1946) freedom.

    Parts that share items are one group, whose items are added up first. One group alone is judged as any
    score is.
    """
    groups = _groups(parts)
    estimates = [_of_group(group) for group in groups]
    if len(estimates) == 1:
        return estimates[0]
    n = sum(one.n for one in estimates)
    value = math.fsum(one.value for one in estimates if one.value is not None)
    whole = Estimate(value, None, None, n, None, POPULATION_TARGET, items=n)
    if all(one.identical for one in estimates):
        return replace(whole, low=value, high=value, p=1.0, identical=True)
    for group, one in zip(groups, estimates, strict=True):
        if one.error is None and not one.identical:
            return replace(whole, reason=f"{', '.join(part.name for part in group)}: {one.reason}")
    centre = math.fsum(one.middle for one in estimates if one.middle is not None)
    return _judged(whole, centre, *_pooled(estimates))


def _of_group(parts: Sequence[Part]) -> Estimate:
    """Parts that share items, added up item by item (or cluster by cluster, where items have clusters).

    An item that a part lacks adds nothing to it (`linearised`). Where parts have unequal numbers of items,
    each part's own variance stands in place of that of its linearisation, and the degrees of freedom are at
    most those of Satterthwaite over the parts.
    """
    items = sorted(set().union(*(part.by_seed[0] for part in parts)))
    clusters = {item: name for part in reversed(parts) for item, name in part.clusters.items()}
    filled = [part.factor * _by_item(part.by_seed[0], items) for part in parts]

    def judged(values: Array) -> Estimate:
        return items_estimate(dict(zip(items, map(float, values), strict=True)), clusters=clusters)

    whole = judged(np.sum(filled, axis=0))
    if all(len(part.by_seed[0]) == len(items) for part in parts) or whole.error is None:
        return whole
    alone = [
        items_estimate({i: part.factor * v for i, v in part.by_seed[0].items()}, clusters=clusters)
        for part in parts
    ]
    separate, freedom = _pooled(alone)
    as_filled, _ = _pooled([judged(values) for values in filled])
    variance = whole.error**2 + max(separate**2 - as_filled**2, 0.0)
    return _judged(whole, whole.middle or 0.0, math.sqrt(variance), min(freedom, whole.freedom or math.inf))


def _by_item(table: Items, items: Sequence[str]) -> Array:
    """A value for each of `items` whose mean is the table's: (len(items),)."""
    sums = np.array([[table.get(item, 0.0) for item in items]])
    counts = np.array([[float(item in table) for item in items]])
    return np.asarray(linearise(sums, counts)[0])


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that share an item, or a cluster of items, directly or through others."""
    groups: list[tuple[list[Part], set[str]]] = []
    for part in parts:
        names = {f"item {item}" for item in part.by_seed[0]}
        names |= {part.clusters[item] for item in part.by_seed[0] if item in part.clusters}
        joined = [group for group in groups if group[1] & names]
        groups = [group for group in groups if not group[1] & names]
        members = [one for group in joined for one in group[0]]
        groups.append(([*members, part], names.union(*(group[1] for group in joined))))
    return [members for members, _ in groups]


def _pooled(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Standard error of a sum of independent estimates, and its degrees of freedom."""
    known = [(e.error**2, e.freedom) for e in estimates if e.error is not None and e.freedom is not None]
    variance = math.fsum(v for v, _ in known)
    share = math.fsum(v**2 / freedom for v, freedom in known)
    return math.sqrt(variance), variance**2 / share if share else math.inf


def _judged(whole: Estimate, centre: float, error: float, freedom: float) -> Estimate:
    """`whole` with the t interval and test that this error and freedom give about `centre`."""
    from scipy import stats

    if error == 0:
        return replace(whole, reason=NO_SPREAD)
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    return replace(
        whole,
        low=centre - half,
        high=centre + half,
        p=float(2 * stats.t.sf(abs(centre) / error, freedom)),
        detectable=detectable_error(error, freedom),
        identical=False,
        reason=None,
        error=error,
        freedom=freedom,
        centre=centre,
    )
