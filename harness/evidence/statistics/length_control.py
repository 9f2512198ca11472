"""Length-controlled win rates: what would remain were both answers equally long.

A logistic model of the win on the difference of lengths, as AlpacaEval 2 has (Dubois et al. 2024,
arXiv 2404.04475, section 3), without its term of the instruction's difficulty, which exists for
AlpacaEval's own 805 prompts alone. So these rates are not the leaderboard's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.evidence.statistics.estimate import POPULATION_TARGET, Estimate

ROUNDS, RESAMPLES, SEED = 30, 1000, 20_240_404
RIDGE = 1e-6
Array = np.ndarray[Any, Any]


def length_controlled(
    wins: Mapping[str, float], lengths: Mapping[str, float], *, interval: bool = True
) -> Estimate:
    """The rate at a difference of zero, with the percentile interval of a bootstrap over prompts.

    `wins` in [0, 1] and `lengths` (the arm's less the rival's) by item id. The model is fitted anew
    in each resample, the scale of the lengths with it; without `interval` nothing is resampled.
    """
    ids = sorted(wins.keys() & lengths.keys())
    n = len(ids)
    if n < 10:
        return Estimate(None, None, None, n, None, POPULATION_TARGET, reason="fewer than 10 items")
    won = np.array([wins[i] for i in ids])
    longer = np.array([lengths[i] for i in ids], dtype=float)
    if not interval:
        rate = float(_rates(won, longer, np.ones((1, n)))[0])
        return Estimate(rate, None, None, n, None, POPULATION_TARGET)
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES)
    rates = _rates(won, longer, np.vstack([np.ones(n), times]).astype(float))
    low, high = np.quantile(rates[1:], [0.025, 0.975])
    return Estimate(float(rates[0]), float(low), float(high), n, None, POPULATION_TARGET)


def _rates(won: Array, longer: Array, times: Array) -> Array:
    """sigmoid(intercept) of win ~ intercept + slope * tanh(length difference / its sd): (fits,).

    `won` and `longer` are (items,), `times` (fits, items) says how often a fit counts an item. Newton's
    method on the fractional likelihood, all fits at once; a tiny ridge keeps a fit finite where
    every answer won, or where length decides every win.
    """
    total = times.sum(axis=1)
    mean = times @ longer / total
    spread = np.sqrt(np.maximum(times @ longer**2 / total - mean**2, 0.0))
    scaled = np.tanh(longer[None, :] / np.where(spread > 0, spread, np.inf)[:, None])
    level, slope = np.zeros(len(times)), np.zeros(len(times))
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(level[:, None] + slope[:, None] * scaled, -30, 30)))
        missed, weight = times * (won - chance), times * chance * (1 - chance)
        up = missed.sum(axis=1) - RIDGE * total * level
        side = (missed * scaled).sum(axis=1) - RIDGE * total * slope
        a = weight.sum(axis=1) + RIDGE * total
        b = (weight * scaled).sum(axis=1)
        c = (weight * scaled**2).sum(axis=1) + RIDGE * total
        whole = a * c - b * b
        step, turn = (c * up - b * side) / whole, (a * side - b * up) / whole
        level, slope = level + np.clip(step, -4, 4), slope + np.clip(turn, -4, 4)
        if max(np.abs(step).max(), np.abs(turn).max()) < 1e-8:
            break
    return np.asarray(1 / (1 + np.exp(-level)))
