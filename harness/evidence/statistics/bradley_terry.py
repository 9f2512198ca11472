"""More than two arms on one scale: Bradley and Terry's model of judged pairs (1952), with evalica."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES, SEED = 200, 19_520_101
Array = np.ndarray[Any, Any]
Triple = tuple[str, str, str]
"""An arm, its rival, and who was preferred: `first`, `second` or `draw`."""


@dataclass(frozen=True)
class Chance:
    """Of being preferred to the anchor, with a 95% interval where every resample had a solution."""

    value: float
    low: float | None
    high: float | None


def ranked(prompts: Sequence[Mapping[Triple, int]], anchor: str) -> dict[str, Chance] | None:
    """Each arm's chance against `anchor`, best first; None where the model has no finite solution.

    `prompts` are counts of judgments by prompt. Intervals: percentile bootstrap over prompts with refit,
    about the population of prompts.
    """
    triples = sorted({triple for prompt in prompts for triple in prompt})
    counts = np.array([[prompt.get(triple, 0) for triple in triples] for prompt in prompts], dtype=float)
    whole = _chances(triples, counts.sum(axis=0), anchor)
    if whole is None:
        return None
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), RESAMPLES)
    drawn = [_chances(triples, row @ counts, anchor) for row in times]
    known = [one for one in drawn if one is not None]
    chances = {}
    for arm in sorted(whole, key=lambda name: -whole[name]):
        low = high = None
        if len(known) == RESAMPLES and arm != anchor:
            low, high = (float(end) for end in np.quantile([one[arm] for one in known], [0.025, 0.975]))
        chances[arm] = Chance(whole[arm], low, high)
    return chances


def _chances(triples: Sequence[Triple], weights: Array, anchor: str) -> dict[str, float] | None:
    """Each arm's chance against the anchor; None where the model has no finite solution."""
    import evalica

    winners = {"first": evalica.Winner.X, "second": evalica.Winner.Y, "draw": evalica.Winner.Draw}
    fit = evalica.bradley_terry(
        [a for a, _, _ in triples],
        [b for _, b, _ in triples],
        [winners[word] for _, _, word in triples],
        weights=[float(w) for w in weights],
        limit=10_000,
    )
    strengths = {str(name): float(value) for name, value in fit.scores.items()}
    of_anchor = strengths[anchor]
    if fit.iterations >= fit.limit or not all(np.isfinite(v) and v > 0 for v in strengths.values()):
        return None
    return {name: value / (value + of_anchor) for name, value in strengths.items()}
