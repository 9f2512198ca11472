"""A row of a benchmark's table: paired repeats of one quantity, their ratio, and the goal it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from perf.paired import Goal, Interval, ratio


@dataclass(frozen=True)
class Row:
    """One quantity by repeat; without a goal it is shown and judged by nobody."""

    name: str
    ours: list[float]
    stock: list[float]
    goal: Goal | None

    @property
    def one(self) -> Interval:
        """Ours over stock."""
        return ratio(self.ours, self.stock)

    @property
    def verdict(self) -> str:
        """What the goal says."""
        return "" if self.goal is None else self.goal.verdict(self.one)

    @property
    def missed(self) -> bool:
        """Whether the whole interval misses the goal."""
        return self.goal is not None and self.goal.missed(self.one)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        one = self.one
        made_of = {"ours": self.ours, "stock": self.stock}
        figures = {"ratio": one.mean, "low": one.low, "high": one.high}
        held = {} if self.goal is None else {"goal": str(self.goal), "verdict": self.verdict}
        return {"name": self.name, **made_of, **figures, **held}


def print_rows(rows: Sequence[Row]) -> None:
    """Medians, ratios, verdicts."""
    print(f"{'what':22} {'ours':>10} {'stock':>10}  {'ratio (95% interval)':24} {'goal':13} verdict")
    for row in rows:
        middle = f"{median(row.ours):10.4g} {median(row.stock):10.4g}"
        goal = "" if row.goal is None else str(row.goal)
        print(f"{row.name:22} {middle}  {row.one!s:24} {goal:13} {row.verdict}")
