"""Which of two searches is ahead, until which number of trials or cost, and where that is sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.evidence.sections.tuning_tables import NO_SCORES, all_sources
from harness.evidence.statistics.overtaking import (
    Step,
    Stretch,
    by_cost,
    by_estimate,
    by_trials,
    stretches,
    surely,
)
from harness.evidence.tuned import AXES, Search
from harness.quantities import Quantity
from harness.tables import Cell, CellKind, Table
from harness.units import plain

TRIALS = "trials"


@dataclass(frozen=True)
class Lead:
    """Two searches on one axis: `axis` is what their expected bests are held against."""

    axis: str
    kind: CellKind
    a: str
    b: str
    steps: tuple[Step, ...]
    reason: str | None = None

    @property
    def estimated(self) -> list[Stretch]:
        """Who is ahead by the estimate, from the first step to the last."""
        return stretches(self.steps, by_estimate)

    @property
    def sure(self) -> list[Stretch]:
        """Who is ahead by an interval that leaves out no difference."""
        return stretches(self.steps, surely)

    @property
    def crossing(self) -> float | None:
        """The first amount from which on another arm is ahead than at first."""
        sides = [one for one in self.estimated if one.ahead]
        return next((one.first for one in sides if one.ahead != sides[0].ahead), None)

    def amount(self, value: float) -> str:
        """An amount of the axis in words."""
        text = plain(Cell(value, self.kind))
        return f"{text} trial{'s' * (value != 1)}" if self.axis == TRIALS else text


def leads(a: Search, b: Search) -> list[Lead]:
    """By number of trials, and by what they took; where that is not known, with the reason."""
    if a.curve is None or b.curve is None:
        return [Lead(TRIALS, "count", a.arm, b.arm, (), NO_SCORES)]
    found = [Lead(TRIALS, "count", a.arm, b.arm, tuple(by_trials(a.curve, b.curve)))]
    for quantity in AXES:
        means = [_mean_cost(one, quantity) for one in (a, b)]
        if None in means:
            unknown = next((why for one in (a, b) if (why := one.cost(quantity)[1])), "trials took nothing")
            found.append(Lead(quantity.title, quantity.kind, a.arm, b.arm, (), unknown))
            continue
        steps = by_cost(a.curve, b.curve, *(mean for mean in means if mean is not None))
        reason = None if steps else "all trials of one cost less than the first of the other"
        found.append(Lead(quantity.title, quantity.kind, a.arm, b.arm, tuple(steps), reason))
    return found


def _mean_cost(one: Search, quantity: Quantity) -> float | None:
    """What a trial takes on average; None where that is unknown or nothing."""
    whole, _ = one.cost(quantity)
    return whole / len(one.trials) if whole else None


def leads_table(found: Sequence[Search]) -> Table:
    """One row a pair of arms and axis."""
    rows = []
    for a, b in combinations(found, 2):
        sources = (*all_sources(a), *all_sources(b))
        for one in leads(a, b):
            rows.append(
                (
                    Cell(one.axis),
                    Cell(a.arm),
                    Cell(b.arm),
                    Cell(estimated_in_words(one, str) if one.steps else None, reason=one.reason),
                    Cell(one.crossing, one.kind, reason=one.reason, sources=sources, applies=not one.steps),
                    Cell(sure_in_words(one, str) if one.steps else None, reason=one.reason),
                )
            )
    notes = (
        "Expected bests at equal numbers of trials, and at equal budgets, which pay for whole trials at the "
        "mean cost of a trial of the arm (trials that ended early are cheaper), from one trial of both on. "
        "Sure: where the 95% interval of the difference leaves out 0, each step by itself; anywhere else, "
        "also where there is no interval, it is undecided who is ahead, and a crossing there is one of the "
        "estimates alone.",
    )
    columns = ("by", "a", "b", "ahead by the estimate", "overtaken at", "sure")
    return Table("tuning_leads", "Who is ahead after how much tuning", columns, tuple(rows), notes)


def estimated_in_words(one: Lead, title: Callable[[str], str]) -> str:
    """`A until 6, B from 7 on`; `A throughout`."""
    return _in_words(one, one.estimated, title, "level")


def sure_in_words(one: Lead, title: Callable[[str], str]) -> str:
    """`A until 3, undecided from 4 on`; `undecided throughout`."""
    return _in_words(one, one.sure, title, "undecided")


def _in_words(one: Lead, found: Sequence[Stretch], title: Callable[[str], str], neither: str) -> str:
    names = {1: title(one.a), -1: title(one.b), 0: neither}
    if len(found) == 1:
        return f"{names[found[0].ahead]} throughout"
    parts = []
    for place, stretch in enumerate(found):
        first, last = one.amount(stretch.first), one.amount(stretch.last)
        if place == 0:
            when = f"until {last}"
        elif place == len(found) - 1:
            when = f"from {first} on"
        else:
            when = f"at {first}" if first == last else f"from {first} to {last}"
        parts.append(f"{names[stretch.ahead]} {when}")
    return ", ".join(parts)
