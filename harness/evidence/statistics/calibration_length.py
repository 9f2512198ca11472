"""Does the interval of length-controlled win rates hold? Simulated judgments of known truth, in bulk.

The grid: 20 to 800 items, rates at equal length of 0.5 to 0.985, slopes of length of none to strong, hard
verdicts, two orders that mostly agree, and weighted preferences. Differences of length are normal and half
an sd above zero. Since the coverage of counts moves in steps of the rate (Brown, Cai, DasGupta 2001), the
simulations of a cell spread their rates over half a unit of log-odds around the stated one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import MOST_REJECTIONS, Case, Cell, with_noise
from harness.evidence.statistics.length_control import length_design
from harness.evidence.statistics.score_interval import CRITICAL, Array, Outcomes, score_statistic

ITEMS = (20, 50, 100, 200, 800)
RATES = (0.5, 0.7, 0.9, 0.95, 0.985)
CASES = (("hard", 0.0), ("hard", 1.0), ("hard", 2.0), ("both orders", 1.0), ("weighted", 1.0))
"""Kind of preference, and the log-odds that length adds at most."""
VALUES_AT_ONCE, AROUND, SHIFT = 200_000, 0.25, 0.5
AGREEING = 0.7
FEW = 10
"""Fewer expected losses than this make an interval wide: coverage of counts moves in steps."""


def length_cases(simulations: int) -> Iterator[Cell]:
    """Every cell of the grid; each has random numbers of its own, so cells can be run apart."""
    for items in ITEMS:
        for kind, slope in CASES:
            for rate in RATES:
                name = f"length-controlled rate: {kind}, slope {slope:g}"
                yield partial(chance_case, name, items, rate, simulations, _sets(kind, slope))


Sets = Callable[[np.random.Generator, Array, int], Outcomes]
"""Data sets of known truth: generator, true log-odds (sets,), items -> outcomes."""


def chance_case(name: str, items: int, rate: float, simulations: int, sets: Sets) -> Case:
    """One cell; an arm is as good as its rival where the rate is exactly 0.5.

    There are `simulations` of up to 100 items, and fewer of more, down to a fifth.
    """
    rng = np.random.default_rng([items, round(1000 * rate), *name.encode()])
    wanted = max(simulations * 100 // max(items, 100), simulations // 5)
    covered = done = 0
    while done < wanted:
        size = min(wanted - done, max(1, VALUES_AT_ONCE // items))
        truth = math.log(rate / (1 - rate)) + rng.uniform(-AROUND, AROUND, size) * (rate != 0.5)
        statistic = score_statistic(sets(rng, truth, items), truth)
        covered += int((np.abs(statistic) <= CRITICAL).sum())
        done += size
    return Case(
        name,
        f"{items} items, rate {rate:g}",
        covered / done,
        1 - covered / done if rate == 0.5 else None,
        wide=items * (1 - rate) < FEW,
        most_rejected=with_noise(MOST_REJECTIONS, done),
        simulations=done,
    )


def won(kind: str, rng: np.random.Generator, chance: Array) -> Array:
    """Preferences in [0, 1] whose means are `chance`."""
    if kind == "weighted":
        # Most judges are sure: a U-shaped beta, two thirds as spread as a coin. Tiny parameters give 0 / 0.
        drawn = rng.beta(chance / 2, (1 - chance) / 2)
        return np.where(np.isnan(drawn), chance > 0.5, drawn)
    uniform = rng.random(chance.shape)
    first = (uniform < chance).astype(float)
    if kind == "hard":
        return first
    second = np.where(rng.random(chance.shape) < AGREEING, uniform, rng.random(chance.shape)) < chance
    return np.asarray((first + second) / 2)


def _sets(kind: str, slope: float) -> Sets:
    def sets(rng: np.random.Generator, truth: Array, items: int) -> Outcomes:
        design = length_design(rng.normal(SHIFT, 1.0, (len(truth), items)))
        log_odds = truth[:, None] + slope * design[..., 1]
        return Outcomes(won(kind, rng, 1 / (1 + np.exp(-log_odds))), design)

    return sets
