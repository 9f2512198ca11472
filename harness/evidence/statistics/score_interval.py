"""A chance in a logistic model of outcomes in [0, 1], with an interval that holds near 0 and 1.

The model is the fractional logit (Papke and Wooldridge 1996, eq. 4), so that ties and weighted preferences
count for what they are. The interval holds every chance that the efficient score test does not reject at
5% (Rao 1948; Boos 1992, eq. 4). Its variance comes from E[y (1 - y)] = p (1 - p) - Var(y): hard outcomes
vary like a coin, soft ones less by what y (1 - y) says. Few losses say little about rarer and heavier
ones, so that discount is trusted by 1 / (1 + skewness^2), skewness being that of the coins' score.
Items that share a cluster multiply the variance by their design effect (Kish 1965), trusted alike.
Without covariates or clusters, the interval of hard outcomes is Wilson's (1927).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CRITICAL = 1.959963984540054
LIMIT = 15.0
"""Log-odds beyond which a chance is 0 or 1."""
ROUNDS, RIDGE, STEEPEST = 60, 1e-9, 30.0


@dataclass(frozen=True)
class Outcomes:
    """Data sets of one shape, judged at once so that what is calibrated is what runs.

    `won` (sets, items) in [0, 1]; `design` (sets or 1, items, terms), the term whose coefficient is the
    log-odds of the chance first; `starts` (clusters,) the first item of each cluster, whose items stand
    together, or None where every item is a cluster of its own.
    """

    won: Array
    design: Array
    starts: Array | None = None


def fit(won: Array, design: Array, offset: Array | float = 0.0) -> Array:
    """Coefficients (sets, terms) of won ~ offset + design by Newton's method.

    A ridge of 1e-9 an item keeps them finite where a term decides every outcome.
    """
    terms, items = design.shape[-1], won.shape[-1]
    coefficients = np.zeros((len(won), terms))
    turned, ridge = design.swapaxes(-1, -2), RIDGE * items
    for _ in range(ROUNDS if terms else 0):
        chance = _chance(offset + (design @ coefficients[..., None])[..., 0])
        slope = (turned @ (won - chance)[..., None])[..., 0] - ridge * coefficients
        curvature = turned @ (design * (chance * (1 - chance))[..., None]) + ridge * np.eye(terms)
        step = np.clip(np.linalg.solve(curvature, slope[..., None])[..., 0], -3, 3)
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-9:
            break
    return coefficients


def score_statistic(outcomes: Outcomes, log_odds: Array) -> Array:
    """Standard normal in large samples where the chance's `log_odds` (sets,) are true: (sets,)."""
    asked, rest = outcomes.design[..., 0], outcomes.design[..., 1:]
    offset = asked * log_odds[:, None]
    chance = _chance(offset + (rest @ fit(outcomes.won, rest, offset)[..., None])[..., 0])
    weight = chance * (1 - chance)
    influence = asked - _projected(asked, rest, weight)
    coin = (influence**2 * weight).sum(-1) + RIDGE
    skewness = (influence**3 * weight * (1 - 2 * chance)).sum(-1) / coin**1.5
    trust = 1 / (1 + skewness**2)
    softness = (influence**2 * outcomes.won * (1 - outcomes.won)).sum(-1)
    variance = np.maximum(coin - trust * softness, RIDGE)
    parts = influence * (outcomes.won - chance)
    if outcomes.starts is not None:
        variance = variance * _design_effect(
            parts, np.abs(influence) * np.sqrt(weight), outcomes.starts, trust
        )
    return np.asarray(parts.sum(-1) / np.sqrt(variance))


def chance_interval(outcomes: Outcomes) -> tuple[float, float | None, float | None]:
    """The chance with its 95% interval, of one data set; without one where its outcomes do not vary.

    Judgments that are all ties are as far from a coin's as can be, and leave a variance of zero.
    """
    from scipy import optimize

    best = float(np.clip(fit(outcomes.won, outcomes.design)[0, 0], -LIMIT, LIMIT))

    def beyond(log_odds: float) -> float:
        return abs(float(score_statistic(outcomes, np.array([log_odds]))[0])) - CRITICAL

    def end(bound: float) -> float:
        if best == bound or beyond(bound) <= 0:
            return bound
        return float(optimize.brentq(beyond, best, bound, xtol=1e-6))

    with np.errstate(invalid="ignore"):
        # The statistic is 0 where the fit is; without any variance it is not a number, or anything.
        is_judged = abs(best) >= LIMIT or beyond(best) < 0
    if not is_judged:
        return chance_of(best), None, None
    return chance_of(best), chance_of(end(-LIMIT)), chance_of(end(LIMIT))


def chance_of(log_odds: float) -> float:
    """The chance of log-odds; from `LIMIT` on it is 0 or 1."""
    if abs(log_odds) >= LIMIT:
        return float(log_odds > 0)
    return float(1 / (1 + np.exp(-log_odds)))


def _chance(log_odds: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -STEEPEST, STEEPEST))))


def _projected(asked: Array, rest: Array, weight: Array) -> Array:
    """What the other terms say of the asked one, in the weighted fit: (sets, items)."""
    weighted = rest * weight[..., None]
    inner = rest.swapaxes(-1, -2) @ weighted + RIDGE * np.eye(rest.shape[-1])
    shares = np.linalg.solve(inner, weighted.swapaxes(-1, -2) @ asked[..., None])
    return np.asarray((rest @ shares)[..., 0])


def _design_effect(parts: Array, spread: Array, starts: Array, trust: Array) -> Array:
    """How much more clusters of `parts` (sets, items) vary than independent items would: (sets,).

    Where few losses show nothing of it, all items of a cluster are taken to go together.
    """
    observed = np.square(np.add.reduceat(parts, starts, axis=-1)).sum(-1) / (np.square(parts).sum(-1) + RIDGE)
    together = np.square(np.add.reduceat(spread, starts, axis=-1)).sum(-1) / (
        np.square(spread).sum(-1) + RIDGE
    )
    return np.asarray(trust * observed + (1 - trust) * together)
