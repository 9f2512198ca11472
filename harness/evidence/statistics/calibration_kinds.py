"""Are intervals over kinds of device what they say? Simulated fleets of known truth, in bulk.

Blocks are given to kinds unevenly. A block's log ratio varies with variance 1 around that of its kind, and
those of kinds vary with variance `ratio`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import Case, Cell
from harness.evidence.statistics.intervals import LEVEL, Array
from harness.evidence.statistics.meta import FEWEST_TO_PREDICT, moderated, pool

FLEETS = ((2, 1), (3, 3), (5, 1), (6, 2), (1, 1, 3), (3, 3, 3), (5, 3, 2), (2, 2, 2, 2, 2))
"""Blocks by kind of device."""
RATIOS = (0.0, 1.0, 4.0)


def kind_cases(simulations: int) -> Iterator[Cell]:
    """Every cell; `wide` as over runs, since the same guard makes them so."""
    for fleet in FLEETS:
        for ratio in RATIOS:
            yield partial(_over_kinds, fleet, ratio, simulations)


def _over_kinds(fleet: tuple[int, ...], ratio: float, simulations: int) -> Iterator[Case]:
    """The mean over kinds, and from three kinds what one more would measure."""
    from scipy import stats

    rng = np.random.default_rng([*fleet, round(1000 * ratio)])
    kinds = len(fleet)
    values = np.sqrt(ratio) * rng.standard_normal((simulations, kinds))
    values += rng.standard_normal((simulations, kinds)) / np.sqrt(fleet)
    variances = _variances(fleet, rng, simulations)
    t, pooled = float(stats.t.ppf(1 - LEVEL / 2, kinds - 1)), pool(values, variances)
    inside = float((np.abs(pooled.mean) <= t * pooled.error).mean())
    setting = f"{' + '.join(map(str, fleet))} blocks, tau^2 / block^2 = {ratio:g}"
    yield Case("kinds of device", setting, inside, 1 - inside, wide=True, simulations=simulations)
    if kinds >= FEWEST_TO_PREDICT:
        typical = np.sqrt(1 / np.mean(fleet)) * rng.standard_normal(simulations)
        one_more = np.sqrt(ratio) * rng.standard_normal(simulations) + typical
        ahead = float((np.abs(one_more - pooled.mean) <= t * pooled.ahead(variances)).mean())
        yield Case("kinds of device: one more kind", setting, ahead, wide=True, simulations=simulations)


def _variances(fleet: tuple[int, ...], rng: np.random.Generator, simulations: int) -> Array:
    """Squared errors as `kinds.over_kinds` has them: a kind's own, or the pooled one for a single block."""
    freedom = np.array(fleet) - 1
    squares = np.stack(
        [rng.chisquare(f, simulations) if f else np.zeros(simulations) for f in freedom], axis=-1
    )
    pooled = squares.sum(axis=-1, keepdims=True) / freedom.sum()
    own = np.where(freedom > 0, squares / np.maximum(freedom, 1), pooled) / np.array(fleet)
    degrees = np.where(freedom > 0, freedom, freedom.sum())
    return moderated(own, np.broadcast_to(degrees, own.shape))
