"""Length-controlled win rates: what would remain were both answers equally long.

A logistic model of the win on the difference of lengths, as AlpacaEval 2 has (Dubois et al. 2024,
arXiv 2404.04475, section 3), without its term of the instruction's difficulty, which exists for
AlpacaEval's own 805 prompts alone. So these rates are not the leaderboard's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.estimate import NO_SPREAD, POPULATION_TARGET, Estimate
from harness.evidence.statistics.score_interval import Array, Outcomes, chance_interval, chance_of, fit

FEWEST_ITEMS = 20
LEAST_SIDE, LEAST_NEAR, FEWEST_ON_A_SIDE = 0.05, 0.10, 3
"""Where answers of about equal length are rarer, the rate at equal length is the shape of the model's curve
and not the data's: with 5% of the answers shorter, curves of other shapes than tanh move it by up to 4
points, with 2% by 9, with 1% by 17 (normal differences, length worth one in log-odds)."""


@dataclass(frozen=True)
class Support:
    """Shares of items where the answer is longer, shorter, and within half an sd of equally long."""

    longer: float
    shorter: float
    near: float
    items: int

    @property
    def lacking(self) -> str | None:
        """Why no rate at equal length can be read off these items; None where one can."""
        side, usual = min((1 - self.longer, "longer"), (1 - self.shorter, "shorter"))
        if side < LEAST_SIDE or side * self.items < FEWEST_ON_A_SIDE:
            return f"only {side:.1%} of {self.items} answers are no {usual} than the rival's"
        if self.near < LEAST_NEAR:
            return f"only {self.near:.1%} of {self.items} answers are about as long as the rival's"
        return None


def support(lengths: Mapping[str, float]) -> Support:
    """How the differences of length (the arm's less the rival's, at least one) lie around zero."""
    longer = np.array(list(lengths.values()), dtype=float)
    return Support(
        longer=float((longer > 0).mean()),
        shorter=float((longer < 0).mean()),
        near=float((np.abs(longer) <= longer.std() / 2).mean()),
        items=len(longer),
    )


def length_controlled(
    wins: Mapping[str, float],
    lengths: Mapping[str, float],
    *,
    clusters: Mapping[str, str] | None = None,
    interval: bool = True,
) -> Estimate:
    """The rate at a difference of zero, with the interval of a score test; absent without support.

    `wins` in [0, 1] and `lengths` (the arm's less the rival's) by item id; `clusters` names what items
    share. `harness calibrate` states where the interval covers what it says.
    """
    shared = clusters or {}
    ids = sorted(wins.keys() & lengths.keys(), key=lambda item: (shared.get(item, item), item))
    n = len(ids)
    if n < FEWEST_ITEMS:
        return Estimate.absent(f"fewer than {FEWEST_ITEMS} items", n=n, target=POPULATION_TARGET)
    lacking = support({i: lengths[i] for i in ids}).lacking
    if lacking is not None:
        return Estimate.absent(lacking, n=n, target=POPULATION_TARGET)
    outcomes = Outcomes(
        np.array([[wins[i] for i in ids]]),
        length_design(np.array([[lengths[i] for i in ids]], dtype=float)),
        _starts([shared.get(i, i) for i in ids]),
    )
    if not interval:
        rate = chance_of(float(fit(outcomes.won, outcomes.design)[0, 0]))
        return Estimate(rate, None, None, n, None, POPULATION_TARGET)
    rate, low, high = chance_interval(outcomes)
    reason = None if low is not None else NO_SPREAD
    return Estimate(rate, low, high, n, None, POPULATION_TARGET, reason=reason)


def length_design(longer: Array) -> Array:
    """Terms (sets, items, 2) of differences (sets, items): a constant and the tanh of the scaled one."""
    spread = longer.std(axis=-1, keepdims=True)
    scaled = np.tanh(longer / np.where(spread > 0, spread, np.inf))
    return np.stack([np.ones_like(scaled), scaled], axis=-1)


def _starts(names: list[str]) -> Array | None:
    """Where each cluster of sorted names begins; None where every item is one."""
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    return None if len(starts) == len(names) else np.array(starts)
