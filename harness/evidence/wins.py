"""What a win rate is made of: answers preferred, tied and lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from harness.evidence.missing import asked_items
from harness.evidence.view import ComparisonView
from harness.quantities import is_win_rate

HARD = (0.0, 0.5, 1.0)
"""An item's values where a judge prefers one answer or neither; soft preferences lie between."""


@dataclass(frozen=True)
class Wins:
    """Judged answers over prompts and seeds: above one half, at it, below it.

    `prompts` were asked at each of `seeds`. `soft` where some preference is neither 0, one half nor 1, so
    that the rate is a mean preference.
    """

    won: int
    tied: int
    lost: int
    prompts: int
    seeds: int
    soft: bool

    @property
    def judged(self) -> int:
        """All judged answers."""
        return self.won + self.tied + self.lost

    def turned(self) -> Wins:
        """The same, seen from the rival."""
        return replace(self, won=self.lost, lost=self.won)


def wins_of(view: ComparisonView, arm: str, metric: str) -> Wins | None:
    """The arm's answers against the rival of a win rate; None where nothing was judged."""
    if not is_win_rate(metric):
        return None
    tables = [view.items.get(f"{arm}@{cell.seed}", {}).get(metric) for cell in view.cells_of(arm)]
    judged = [table for table in tables if table]
    values = [value for table in judged for value in table.values() if math.isfinite(value)]
    if not values:
        return None
    return Wins(
        won=sum(value > 0.5 for value in values),
        tied=sum(value == 0.5 for value in values),
        lost=sum(value < 0.5 for value in values),
        prompts=len(asked_items(view, metric)),
        seeds=len(judged),
        soft=any(value not in HARD for value in values),
    )
