"""Unequal numbers of items, missing ones and clusters, as the balanced table that the intervals expect.

The mean over all values that there are is a ratio of two sums over clusters. Its linearisation (Cochran
1977, section 6.4; two ways of clustering as in Cameron, Gelbach and Miller 2011) is a value for every seed
and cluster: the mean plus the cluster's share of the residuals. A cluster that a seed lacks adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.intervals import Array

Items = Mapping[str, float]
"""Item id -> value."""
Clusters = Mapping[str, str]
"""Item id -> what it shares with others; an item that is not named is a cluster of its own."""


@dataclass(frozen=True)
class Linearised:
    """`table` is (seeds, clusters) and has the mean of all values; `values` are these: (items over seeds,).

    `items` counts distinct items, `absent` the values that some seed lacks, `effective` the equal clusters
    that weigh as much as these.
    """

    table: Array
    values: Array
    items: int
    absent: int
    effective: float

    @property
    def clustered(self) -> bool:
        """Whether some cluster holds more than one item."""
        return bool(self.table.shape[1] < self.items)


def linearised(by_seed: Sequence[Items], clusters: Clusters) -> Linearised:
    """Values by item at each seed, as a table of one value a seed and cluster."""
    items = sorted(set().union(*by_seed))
    names = {item: clusters.get(item, f"item {item}") for item in items}
    places = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
    sums, counts = np.zeros((2, len(by_seed), len(places)))
    for row, table in enumerate(by_seed):
        for item in sorted(table):
            sums[row, places[names[item]]] += table[item]
            counts[row, places[names[item]]] += 1
    values = np.array([one[item] for one in by_seed for item in sorted(one)])
    absent = len(by_seed) * len(items) - len(values)
    return Linearised(
        linearise(sums, counts), values, len(items), absent, float(effective(counts.sum(axis=0)))
    )


def effective(counts: Array) -> Array:
    """Clusters of equal size that weigh as much as clusters of these sizes, (..., clusters) (Kish 1965)."""
    return np.asarray(np.square(counts.sum(axis=-1)) / np.square(counts).sum(axis=-1))


def linearise(sums: Array, counts: Array) -> Array:
    """Sums and counts of what a seed has of a cluster, (..., seeds, clusters), as one value each."""
    total = counts.sum(axis=(-2, -1), keepdims=True)
    mean = sums.sum(axis=(-2, -1), keepdims=True) / total
    size = sums.shape[-2] * sums.shape[-1]
    with np.errstate(invalid="ignore"):  # Values that are not finite are told by those who ask.
        return np.asarray(mean + (sums - mean * counts) * (size / total))
