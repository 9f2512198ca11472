"""The grid of aggregates: two scores that share their items, some of them, or none, at one and several seeds.

`weighted_sum` reads tables of items and is no array routine, so that a cell has fewer simulations than others
and its limit their noise. The arms are equal in every cell: what does not cover 0 is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import MOST_REJECTIONS, Case, Cell, with_noise
from harness.evidence.statistics.intervals import LEVEL, Array
from harness.evidence.statistics.weighted import Part, weighted_sum

CORRELATION, SEED_SD = 0.8, 0.3
"""Of two values of one item or cluster; of a seed over a value."""
SEEDS = (2, 3, 5)
RATES = (None, 0.7, 0.97)
"""Share of right answers; None for values without ends."""
ALL_ITEMS, THESE_ITEMS = "aggregate: items of one seed", "aggregate: these items over seeds"


@dataclass(frozen=True)
class Layout:
    """What an item of either score shares with others: items of one number are one item, or one cluster."""

    name: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    clustered: bool = False


LAYOUTS = (
    Layout("40 items in both scores", (*range(40),), (*range(40),)),
    Layout("60 and 20 items apart", (*range(60),), (*range(60, 80),)),
    Layout("80 and 40 items, 20 in both", (*range(80),), (*range(60, 100),)),
    Layout("30 prompts, 2 and 1 items of each", (*range(30), *range(30)), (*range(30),), clustered=True),
)


def aggregate_cases(simulations: int) -> Iterator[Cell]:
    """Every cell: all layouts at one seed, the first at several."""
    for rate in RATES:
        for place, layout in enumerate(LAYOUTS):
            yield partial(_cell, layout, rate, 1, simulations, place)
        for seeds in SEEDS:
            yield partial(_cell, LAYOUTS[0], rate, seeds, simulations, 0)


def _cell(layout: Layout, rate: float | None, seeds: int, simulations: int, place: int) -> Case:
    rng = np.random.default_rng([place, seeds, round(1000 * (rate or 0))])
    found = [weighted_sum(_parts(layout, rate, seeds, rng)).p for _ in range(simulations)]
    rejected = sum(p is not None and p < LEVEL for p in found) / simulations
    what = "values without ends" if rate is None else f"{rate:.0%} right"
    return Case(
        ALL_ITEMS if seeds == 1 else THESE_ITEMS,
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, {layout.name}, {what}",
        rejected=rejected,
        most_rejected=with_noise(MOST_REJECTIONS, simulations),
        printed=sum(p is not None for p in found) / simulations,
        simulations=simulations,
    )


def _parts(layout: Layout, rate: float | None, seeds: int, rng: np.random.Generator) -> list[Part]:
    """What two equal arms differ by: one data set."""
    arms = [_arm(layout, rate, seeds, rng) for _ in range(2)]
    parts = []
    for place, numbers in enumerate((layout.first, layout.second)):
        names = [f"{place}: {i}" if layout.clustered else str(n) for i, n in enumerate(numbers)]
        difference = arms[0][place] - arms[1][place]
        tables = [dict(zip(names, map(float, row), strict=True)) for row in difference]
        clusters = dict(zip(names, map(str, numbers), strict=True)) if layout.clustered else {}
        parts.append(Part(str(place), 0.5, tables, clusters))
    return parts


def _arm(layout: Layout, rate: float | None, seeds: int, rng: np.random.Generator) -> list[Array]:
    """Values of both scores, each (seeds, items)."""
    from scipy import stats

    shared = rng.standard_normal((seeds, 1 + max(layout.first + layout.second)))
    seed = SEED_SD * rng.standard_normal((seeds, 1)) if seeds > 1 else np.zeros((1, 1))
    values = []
    for numbers in (layout.first, layout.second):
        own = rng.standard_normal((seeds, len(numbers)))
        whole = np.sqrt(CORRELATION) * shared[:, numbers] + np.sqrt(1 - CORRELATION) * own + seed
        values.append(whole if rate is None else (whole < stats.norm.ppf(rate)).astype(float))
    return values
