"""Do the intervals of the expected best of k trials hold it? Searches whose scores spread in known ways."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from harness.evidence.statistics.best_of import allowed, ends
from harness.evidence.statistics.calibration_cases import Case, Cell
from harness.evidence.statistics.intervals import Array

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
TRUTH = 40_000
"""Searches behind a true expected best."""
SCORES: dict[str, Draw] = {
    "even": lambda rng, shape: rng.uniform(0.55, 0.85, shape),
    "mostly good": lambda rng, shape: 0.55 + 0.3 * rng.beta(5, 1.5, shape),
    "seldom good": lambda rng, shape: 0.55 + 0.3 * rng.beta(1.5, 5, shape),
    "30% diverge": lambda rng, shape: np.where(
        rng.random(shape) < 0.3, rng.uniform(0.5, 0.52, shape), rng.uniform(0.75, 0.85, shape)
    ),
    "half at the top": lambda rng, shape: np.minimum(rng.normal(0.7, 0.04, shape), 0.7),
}
TRIALS, BESTS = (8, 16, 32), (1, 2, 4, 8, 16, 32)


def tuning_cases(simulations: int) -> list[Cell]:
    """Expected bests, and differences of them between two searches of one space."""
    return [partial(_bests, name, n, simulations) for name in SCORES for n in TRIALS]


def _bests(name: str, n: int, simulations: int) -> list[Case]:
    """Of each k: does the interval of one search, and of the difference of two alike, hold the truth?"""
    rng = np.random.default_rng([n, *name.encode()])
    drawn = np.sort(SCORES[name](rng, (2, simulations, n)), axis=-1)
    lowest, highest = drawn.min(axis=(0, 2)), drawn.max(axis=(0, 2))
    sample = SCORES[name](rng, (TRUTH,))
    cases = []
    for k in (k for k in BESTS if k <= n):
        one, other = (allowed(drawn[side], lowest, highest, k, side) for side in (0, 1))
        low, high = ends(*one)
        truth = _expected(sample, k, lowest, highest)
        covered = float(((low <= truth + 1e-9) & (truth <= high + 1e-9)).mean())
        below, above = ends(one[0] - other[1], one[1] - other[0])
        rejected = float(((below > 0) | (above < 0)).mean())
        setting = f"{name}, best of {k} of {n}"
        cases.append(Case("best of trials", setting, covered, rejected, wide=True, simulations=simulations))
    return cases


def _expected(sample: Array, k: int, lowest: Array, highest: Array) -> Array:
    """The expected best of k draws of a large sample that count between the ends: (searches,)."""
    ordered, n = np.sort(sample), len(sample)
    chance = (np.arange(1, n + 1) / n) ** k - (np.arange(n) / n) ** k
    total = np.concatenate([[0.0], np.cumsum(chance * ordered)])
    first, last = np.searchsorted(ordered, lowest), np.searchsorted(ordered, highest)
    inside = total[last] - total[first]
    return np.asarray(inside + lowest * (first / n) ** k + highest * (1 - (last / n) ** k))
