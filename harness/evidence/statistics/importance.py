"""How much of the scores of trials goes with one setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.intervals import Array

Drawn = bool | int | float | str
FEWEST_TRIALS = 10
GROUPS = 3
SHUFFLES, SEED = 1_999, 0


@dataclass(frozen=True)
class Importance:
    """The share of the scores' ranks that a setting's groups explain, and the p of no effect.

    Both are None for the `reason`.
    """

    share: float | None
    p: float | None
    reason: str | None = None


def importance(drawn: Sequence[Drawn], scores: Sequence[float]) -> Importance:
    """Of one setting: `drawn` is its value in each trial, `scores` what the trial reached.

    Trials stand in groups: one a choice, or the lowest, middle and highest third of a number that takes more
    values. With R^2 the share of the variance of the scores' ranks that lies between the g groups of n
    trials, the importance is 1 - (1 - R^2) (n - 1) / (n - g), never below 0: Kruskal and Wallis' (1952)
    statistic as an effect size, 0 on average where nothing depends on the setting. It is of this setting
    alone: what two do together is in neither. p counts shuffles of the scores that explain as much.
    """
    n = len(scores)
    if n < FEWEST_TRIALS:
        return Importance(None, None, f"{n} trials, and it needs {FEWEST_TRIALS}")
    groups = _groups(drawn)
    if len(set(groups)) == 1:
        return Importance(None, None, "one value was drawn")
    if len(set(groups)) == n:
        return Importance(None, None, "no value was drawn twice")
    if len(set(scores)) == 1:
        return Importance(None, None, "all trials scored the same")
    ranks, member = _ranks(scores), np.array([[one == group for one in groups] for group in set(groups)])
    explained = float(_explained(ranks, member))
    rng = np.random.default_rng(SEED)
    shuffled = _explained(rng.permuted(np.tile(ranks, (SHUFFLES, 1)), axis=1), member)
    as_much = int((shuffled >= explained - 1e-12).sum())
    adjusted = 1 - (1 - explained) * (n - 1) / (n - len(member))
    return Importance(max(adjusted, 0.0), (1 + as_much) / (1 + SHUFFLES))


def _groups(drawn: Sequence[Drawn]) -> list[Drawn]:
    """The group of each trial; equal values are never parted."""
    numbers = [float(value) for value in drawn if isinstance(value, int | float)]
    if any(isinstance(value, str | bool) for value in drawn) or len(set(numbers)) <= GROUPS:
        return list(drawn)
    return [int(GROUPS * (rank - 0.5) / len(numbers)) for rank in _ranks(numbers)]


def _ranks(values: Sequence[float]) -> Array:
    from scipy import stats

    return np.asarray(stats.rankdata(values))


def _explained(ranks: Array, member: Array) -> Array:
    """R^2 of ranks (..., n) by groups (g, n) of which each trial is in one: shape (...)."""
    means = ranks @ member.T / member.sum(axis=1)
    between = (np.square(means - ranks.mean(axis=-1, keepdims=True)) * member.sum(axis=1)).sum(axis=-1)
    return np.asarray(between / (ranks.var(axis=-1) * ranks.shape[-1]))
