"""How far two judges agree on the same pairs, with intervals that know which pairs share a prompt.

Krippendorff's alpha for interval data of two raters (Krippendorff 2011): 1 - observed / expected squared
difference. Intervals are percentiles of a bootstrap that draws prompts (Efron and Tibshirani 1993, chapter
13); with fewer than 20 prompts there is none, since percentiles then cover too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.evidence.statistics.estimate import POPULATION_TARGET, Estimate

Array = np.ndarray[Any, Any]
FEWEST_PROMPTS, DRAWS, SEED = 20, 2_000, 20_240_404
MOST_ABSENT = 0.05
"""Share of draws without an alpha, from which on their percentiles are not those of all."""


@dataclass(frozen=True)
class Agreement:
    """Share of pairs on which both take one side (ties are a side), and alpha."""

    same: Estimate
    alpha: Estimate


def agreement(one: Sequence[float], other: Sequence[float], prompts: Sequence[str]) -> Agreement:
    """Of two judges' preferences in [0, 1] for the first answer of each pair; `prompts` are the pairs'."""
    n = len(one)
    if n == 0:
        absent = Estimate.absent("no pair that both judged", target=POPULATION_TARGET)
        return Agreement(absent, absent)
    sums = _by_prompt(np.array(one, dtype=float), np.array(other, dtype=float), prompts)
    whole = sums.sum(0)
    same, alpha = float(_same(whole)), float(_alpha(whole))
    drawn = _drawn(sums)
    few = f"fewer than {FEWEST_PROMPTS} prompts, for which a bootstrap covers too little"
    return Agreement(
        _estimate(same, None if drawn is None else _same(drawn), n, few),
        _estimate(alpha, None if drawn is None else _alpha(drawn), n, few),
    )


def _by_prompt(one: Array, other: Array, prompts: Sequence[str]) -> Array:
    """Sums over each prompt's pairs, all that both figures need: (prompts, 5)."""
    same = np.sign(one - 0.5) == np.sign(other - 0.5)
    parts = np.stack(
        [np.ones_like(one), same, (one - other) ** 2, one + other, one**2 + other**2], axis=1
    ).astype(float)
    _, place = np.unique(np.array(prompts), return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, parts.shape[1]))
    np.add.at(sums, place, parts)
    return sums


def _drawn(sums: Array) -> Array | None:
    """Sums of prompts drawn with replacement: (draws, 5); None where there are too few prompts."""
    count = len(sums)
    if count < FEWEST_PROMPTS:
        return None
    times = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return np.asarray(times @ sums)


def _same(sums: Array) -> Array:
    return np.asarray(sums[..., 1] / sums[..., 0])


def _alpha(sums: Array) -> Array:
    """Not a number where all ratings are one value."""
    pairs, _, apart, total, squares = np.moveaxis(sums, -1, 0)
    ratings = 2 * pairs
    expected = 2 * (ratings * squares - total**2) / (ratings * (ratings - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 1e-12, 1 - (apart / pairs) / expected, np.nan))


def _estimate(value: float, drawn: Array | None, n: int, few: str) -> Estimate:
    if not np.isfinite(value):
        return Estimate.absent("all ratings are one value", n=n, target=POPULATION_TARGET)
    if drawn is None:
        return Estimate(value, None, None, n, None, POPULATION_TARGET, reason=few)
    known = drawn[np.isfinite(drawn)]
    if len(known) < (1 - MOST_ABSENT) * len(drawn):
        why = "too many draws of the bootstrap hold one value alone"
        return Estimate(value, None, None, n, None, POPULATION_TARGET, reason=why)
    low, high = (float(end) for end in np.quantile(known, (0.025, 0.975)))
    return Estimate(value, low, high, n, None, POPULATION_TARGET)
