"""Where differences vary: between seeds, between clusters, between items, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.intervals import Array
from harness.evidence.statistics.linearised import Clusters, Items


@dataclass(frozen=True)
class Components:
    """Standard deviations of one value; `seed` and `rest` are None at one seed, `cluster` without clusters.

    At one seed `item` holds the rest as well.
    """

    seed: float | None
    cluster: float | None
    item: float
    rest: float | None


def components(by_seed: Sequence[Items], clusters: Clusters) -> Components | None:
    """Moment estimates (analysis of variance) of a crossed design of seeds and items, items in clusters.

    Of the items that every seed has (Searle, Casella and McCulloch 1992, chapter 4); what comes out negative
    is 0. None with fewer than two such items.
    """
    items = sorted(set.intersection(*({*table} for table in by_seed))) if by_seed else []
    if len(items) < 2:
        return None
    table = np.array([[one[item] for item in items] for one in by_seed])
    seeds, n = table.shape
    by_item = table.mean(axis=0)
    rest = 0.0
    if seeds > 1:
        residual = table - table.mean(axis=1, keepdims=True) - by_item + table.mean()
        rest = float(np.square(residual).sum() / ((seeds - 1) * (n - 1)))
    groups = [clusters.get(item, f"item {item}") for item in items]
    within, between = _nested(by_item, groups)
    spread = float(table.mean(axis=1).var(ddof=1)) - rest / n if seeds > 1 else None
    return Components(
        _root(spread),
        _root(between) if len(set(groups)) < n else None,
        _root(within - rest / seeds) or 0.0,
        _root(rest) if seeds > 1 else None,
    )


def _nested(values: Array, groups: Sequence[str]) -> tuple[float, float]:
    """Variances within and between groups of unequal size (one-way analysis of variance)."""
    members = {name: [i for i, group in enumerate(groups) if group == name] for name in dict.fromkeys(groups)}
    n, count = len(values), len(members)
    if count == n or count < 2:
        return float(values.var(ddof=1)), 0.0
    sizes = np.array([len(places) for places in members.values()])
    means = np.array([values[places].mean() for places in members.values()])
    inside = sum(
        float(np.square(values[places] - values[places].mean()).sum()) for places in members.values()
    )
    within = inside / (n - count)
    among = float((sizes * np.square(means - values.mean())).sum() / (count - 1))
    typical = (n - float(np.square(sizes).sum()) / n) / (count - 1)
    return within, (among - within) / typical


def _root(variance: float | None) -> float | None:
    return None if variance is None else max(variance, 0.0) ** 0.5
