"""Items that a cell was asked and that have no value: unreadable, unscored, or not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.view import BASE, ComparisonView


@dataclass(frozen=True)
class Missing:
    """How many of an arm's items lack a value, over its seeds: `count` of `asked`."""

    count: int
    asked: int


def asked_items(view: ComparisonView, metric: str) -> set[str]:
    """Ids of every item that some cell was asked, with a value or without."""
    ids: set[str] = set()
    for tables in (view.items, view.unread):
        for by_metric in tables.values():
            ids.update(by_metric.get(metric, ()))
    return ids


def missing_items(view: ComparisonView, arm: str, metric: str) -> list[set[str]]:
    """Ids without a value, a set for each of the arm's cells that were asked: (num_seeds,)."""
    asked = asked_items(view, metric)
    keys = [BASE] if arm == BASE else [f"{arm}@{cell.seed}" for cell in view.cells_of(arm)]
    known = [key for key in keys if metric in view.items.get(key, {}) or metric in view.unread.get(key, {})]
    return [asked - view.items.get(key, {}).get(metric, {}).keys() for key in known]


def missing_of(view: ComparisonView, arm: str, metric: str) -> Missing | None:
    """How many the arm lacks over its seeds, or None where it was asked nothing."""
    by_seed = missing_items(view, arm, metric)
    if not by_seed:
        return None
    return Missing(sum(map(len, by_seed)), len(by_seed) * len(asked_items(view, metric)))


def lopsided(a: Sequence[set[str]], b: Sequence[set[str]]) -> float:
    """Two-sided exact p that neither arm lacks items more often than the other.

    A sign test (McNemar 1947 at one seed) over items, each counted once for the arm that lacks it at more
    seeds: the seeds of one item are not independent.
    """
    ids = set().union(*a, *b)
    differences = [sum(i in one for one in a) - sum(i in one for one in b) for i in ids]
    more, fewer = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if more + fewer == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(more, more + fewer, 0.5).pvalue)
