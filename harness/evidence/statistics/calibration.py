"""Are the intervals what they say? Simulated comparisons of known truth, in bulk.

A seed-level difference is effect + seed + items' mean, as in `two_level`. The grid is stated by the number
of seeds and by the ratio of the seeds' variance to that of the items' share of a mean over all items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.estimate import BOTH_TARGET as ALL_ITEMS
from harness.evidence.statistics.estimate import ITEMS_TARGET as THESE_ITEMS
from harness.evidence.statistics.estimate import detectable
from harness.evidence.statistics.intervals import LEVEL, Array, t_intervals, two_level

SIMULATIONS = 20_000
SEEDS = (3, 5, 10)
RATIOS = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
ITEMS = 100
CHUNK = 1_000
MOST_REJECTIONS = 0.055
COVERAGE = (0.93, 0.97)
POWER_WITHIN = 0.03
REST = 1.0
"""Variance that is neither the seed's nor the item's, over the item's."""


@dataclass(frozen=True)
class Case:
    """One cell of the grid with what came out; `power` is at the effect that should be found in 80%."""

    target: str
    seeds: int
    ratio: float
    rejected: float
    covered: float
    power: float | None

    @property
    def holds(self) -> bool:
        """Whether the interval is what it says, within the limits of the grid."""
        low, high = COVERAGE
        powered = self.power is None or abs(self.power - 0.8) <= POWER_WITHIN
        return self.rejected <= MOST_REJECTIONS and low <= self.covered <= high and powered


def calibrate(
    simulations: int = SIMULATIONS, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Case]:
    """Every cell of the grid; each has random numbers of its own, so cells can be run apart."""
    grid = [(seeds, ratio) for seeds in SEEDS for ratio in RATIOS]
    cases = []
    for number, (seeds, ratio) in enumerate(grid):
        cases += _cell(seeds, ratio, simulations)
        progress(number + 1, len(grid))
    return cases


def _cell(seeds: int, ratio: float, simulations: int) -> list[Case]:
    """Both targets at one number of seeds and one ratio of variances."""
    spread = float(np.sqrt(ratio + REST / (1 + REST)))
    effect = detectable(spread, seeds)
    counts = {target: [0, 0, 0] for target in (THESE_ITEMS, ALL_ITEMS)}
    for table, same, items_mean in _tables(seeds, ratio, simulations):
        fixed, drawn = t_intervals(table.mean(axis=-1)), two_level(table)
        shifted = t_intervals(table.mean(axis=-1) - items_mean[:, None] + effect)
        nothing = np.zeros(len(table))
        for target, intervals, null, truth in (
            (THESE_ITEMS, fixed, t_intervals(same.mean(axis=-1)), items_mean),
            (ALL_ITEMS, drawn, two_level(same), nothing),
        ):
            counts[target][0] += int((null.p < LEVEL).sum())
            counts[target][1] += int(((intervals.low <= truth) & (truth <= intervals.high)).sum())
        counts[THESE_ITEMS][2] += int((shifted.low > 0).sum())
    return [
        Case(
            target,
            seeds,
            ratio,
            rejected / simulations,
            covered / simulations,
            powered / simulations if target == THESE_ITEMS else None,
        )
        for target, (rejected, covered, powered) in counts.items()
    ]


def _tables(seeds: int, ratio: float, simulations: int) -> Iterator[tuple[Array, Array, Array]]:
    """Chunks of (differences of two arms, differences of an arm from itself, mean of the arms' items).

    Tables are (simulations, seeds, items). The items' share of a one-seed mean has variance 1, the seeds'
    has `ratio`. An arm differs from itself by its seeds and the rest, and by no item.
    """
    rng = np.random.default_rng([seeds, round(1000 * ratio)])
    item_sd, rest_sd = np.sqrt(ITEMS / (1 + REST)), np.sqrt(ITEMS * REST / (1 + REST))
    for start in range(0, simulations, CHUNK):
        size = min(CHUNK, simulations - start)
        item = item_sd * rng.standard_normal((size, 1, ITEMS))
        arms = np.sqrt(ratio) * rng.standard_normal((size, seeds, 1))
        arms = arms + rest_sd * rng.standard_normal((size, seeds, ITEMS))
        same = np.sqrt(ratio) * rng.standard_normal((size, seeds, 1))
        same = same + rest_sd * rng.standard_normal((size, seeds, ITEMS))
        yield arms + item, same, item.mean(axis=(-2, -1))
