"""Are intervals over runs what they say? Simulated runs of known truth, in bulk.

Runs' true effects vary with variance `ratio`; their errors have variance 1 and are known exactly, or
estimated from a number of seeds as a run's are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import Case, Cell
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.meta import moderated, pool
from harness.evidence.statistics.stability import spread_ratios

RUNS = (3, 5, 10)
RATIOS = (0.0, 1.0, 4.0)
SEEDS = (None, 5, 3)
"""Seeds behind each run's error; None for errors that are known."""
STABLE_RUNS = (5, 10)
ERRORS = (1.0, 2.0)
"""Errors of the first arm's gains over those of the second."""


def meta_cases(simulations: int) -> Iterator[Cell]:
    """Every cell; the interval without its guard is shown at known errors, where it is exact.

    The guard makes cells `wide`: where true effects hardly vary, it is the fixed-effect error read by t.
    """
    for ratio in RATIOS:
        for runs in RUNS:
            for seeds in SEEDS:
                yield partial(_intervals, runs, ratio, seeds, simulations)
        for runs in STABLE_RUNS:
            for error in ERRORS:
                yield partial(_spreads, runs, ratio, error, simulations)


def _intervals(runs: int, ratio: float, seeds: int | None, simulations: int) -> Iterator[Case]:
    """The combined effect, and what one more run would measure."""
    from scipy import stats

    rng = np.random.default_rng([runs, round(1000 * ratio), seeds or 0])
    shape = (simulations, runs)
    values = np.sqrt(ratio + 1) * rng.standard_normal(shape)
    variances, known = np.ones(shape), "known errors"
    if seeds is not None:
        freedom = float(seeds - 1)
        variances = moderated(rng.chisquare(freedom, shape) / freedom, np.full(shape, freedom))
        known = f"errors of {seeds} seeds"
    next_run = np.sqrt(ratio + 1) * rng.standard_normal(simulations)
    t = float(stats.t.ppf(1 - LEVEL / 2, runs - 1))
    setting = f"{runs} runs, tau^2 / error^2 = {ratio:g}, {known}"
    if seeds is None:
        bare = pool(values, variances, guarded=False)
        inside = float((np.abs(bare.mean) <= t * bare.error).mean())
        yield Case("several runs, without the guard", setting, inside, 1 - inside, simulations=simulations)
    pooled = pool(values, variances)
    inside = float((np.abs(pooled.mean) <= t * pooled.error).mean())
    yield Case("several runs", setting, inside, 1 - inside, wide=True, simulations=simulations)
    ahead = float((np.abs(next_run - pooled.mean) <= t * pooled.ahead(variances)).mean())
    yield Case("several runs: one more run", setting, ahead, wide=True, simulations=simulations)


def _spreads(runs: int, ratio: float, error: float, simulations: int) -> Case:
    """Gains of two arms over one baseline, true spreads equal; true gains are correlated by half.

    Covered is the ratio of the measured spreads, rejected what is said of the true ones.
    """
    rng = np.random.default_rng([runs, round(1000 * ratio), round(1000 * error)])
    shape = (simulations, runs)
    shared = rng.standard_normal(shape)
    a, b = (np.sqrt(ratio / 2) * (shared + rng.standard_normal(shape)) for _ in range(2))
    a, b = a + error * rng.standard_normal(shape), b + rng.standard_normal(shape)
    one, truth = spread_ratios(a, b), np.sqrt((ratio + error**2) / (ratio + 1))
    covered = float(((one.low <= truth) & (truth <= one.high)).mean())
    rejected = float(((one.high < min(error, 1)) | (one.low > max(error, 1))).mean())
    setting = f"{runs} runs, tau^2 / error^2 = {ratio:g}, errors {error:g} to 1"
    return Case("several runs: ratio of spreads", setting, covered, rejected, simulations=simulations)
