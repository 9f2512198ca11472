"""Arms on one scale: Bradley and Terry's model of judged pairs (1952), with evalica.

A judgment is the part of a win that it gives the first arm: 1, 0, half for a tie, 0.55 for a preference of
0.55. It enters as that part of a win for one side and the rest for the other, so that two arms alone are
ranked by their mean preference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.evidence.statistics.estimate import NO_SPREAD
from harness.evidence.statistics.score_interval import Outcomes, chance_interval

EXACT, LIMIT = 1e-10, 100_000
ANCHOR = "the others are held against it"
Wins = dict[tuple[str, str], float]
"""How much the first of two arms won against the second; above 0."""


@dataclass(frozen=True)
class Judgment:
    """The part of a win, in [0, 1], that `first` had against `second`; `cluster` is what it shares."""

    first: str
    second: str
    won: float
    cluster: str


@dataclass(frozen=True)
class Chance:
    """Of being preferred to the anchor, with a 95% interval; what is None is so for the `reason`."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def ranked(judgments: Sequence[Judgment], anchor: str) -> dict[str, Chance]:
    """Each arm's chance to be preferred to `anchor`, best first, those that nothing links to it last.

    An arm that reaches the anchor by wins alone has the model's limit, a chance of 1. Intervals are
    score intervals, about the population of clusters: prompts with all that was judged on them.
    """
    ordered = sorted(judgments, key=lambda one: one.cluster)
    values = _chances(_wins(ordered), anchor)
    chances = {arm: _chance(ordered, arm, anchor, value) for arm, value in values.items()}
    return dict(sorted(chances.items(), key=lambda entry: -1 if (v := entry[1].value) is None else v)[::-1])


def outcomes_of(judgments: Sequence[Judgment], arm: str, anchor: str) -> Outcomes:
    """What each judgment says of the strengths above the anchor's, `arm`'s first: one data set.

    `judgments` of one cluster stand together.
    """
    names = dict.fromkeys(name for one in judgments for name in (one.first, one.second))
    terms = [arm, *(name for name in names if name not in (arm, anchor))]
    signs = [[(one.first == term) - (one.second == term) for term in terms] for one in judgments]
    clusters = [one.cluster for one in judgments]
    starts = [i for i, name in enumerate(clusters) if i == 0 or name != clusters[i - 1]]
    won = np.array([[one.won for one in judgments]])
    return Outcomes(won, np.array([signs], dtype=float), np.array(starts))


def _chance(judgments: Sequence[Judgment], arm: str, anchor: str, value: float | None) -> Chance:
    if value is None:
        return Chance(None, reason=f"no judged pairs link it to {anchor}")
    if arm == anchor:
        return Chance(value, reason=ANCHOR)
    _, low, high = chance_interval(outcomes_of(judgments, arm, anchor))
    return Chance(value, low, high, NO_SPREAD if low is None else None)


def _wins(judgments: Iterable[Judgment]) -> Wins:
    wins: Wins = {}
    for one in judgments:
        for pair, won in (((one.first, one.second), one.won), ((one.second, one.first), 1 - one.won)):
            wins[pair] = wins.get(pair, 0.0) + won
    return {pair: won for pair, won in wins.items() if won > 0}


def _chances(wins: Mapping[tuple[str, str], float], anchor: str) -> dict[str, float | None]:
    """Each arm's chance against the anchor; finite strengths need wins both ways (Ford 1957)."""
    over, under = _reached(wins, anchor), _reached({(b, a): w for (a, b), w in wins.items()}, anchor)
    tied = {pair: won for pair, won in wins.items() if set(pair) <= over & under}
    chances: dict[str, float | None] = {anchor: 0.5}
    for arm in sorted({name for pair in wins for name in pair}):
        chances[arm] = None if arm not in over | under else float(arm in over)
    return chances | _fitted(tied, anchor)


def _reached(wins: Mapping[tuple[str, str], float], anchor: str) -> set[str]:
    """Arms that have a chain of wins down to the anchor, itself among them."""
    above, size = {anchor}, 0
    while len(above) > size:
        size = len(above)
        above |= {winner for winner, loser in wins if loser in above}
    return above


def _fitted(wins: Mapping[tuple[str, str], float], anchor: str) -> dict[str, float | None]:
    """Evalica's strengths as chances against the anchor, of arms that all won and lost."""
    if not wins:
        return {anchor: 0.5}
    import evalica

    fit = evalica.bradley_terry(
        [winner for winner, _ in wins],
        [loser for _, loser in wins],
        [evalica.Winner.X] * len(wins),
        weights=list(wins.values()),
        tolerance=EXACT,
        limit=LIMIT,
    )
    strengths: dict[str, float] = {str(name): float(value) for name, value in fit.scores.items()}
    return {name: value / (value + strengths[anchor]) for name, value in strengths.items()}
