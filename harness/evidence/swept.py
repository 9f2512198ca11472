"""What a sweep found: each question at every point, separable over all of them, and how costs grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.evidence.answers import Answer, answers
from harness.evidence.contrasts import directions
from harness.evidence.costs import arm_cost
from harness.evidence.registered import is_counted
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.family import Statements, adjusted
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import ComparisonView
from harness.pipeline.sweep import Point
from harness.quantities import Quantity, cost_of

NOT_SEPARABLE, NOT_TESTED = "not separable", "not tested"


@dataclass(frozen=True)
class At:
    """A point of a sweep, and the comparison that ran there."""

    settings: Point
    view: ComparisonView


@dataclass(frozen=True)
class Contest:
    """One question at every point of a sweep, in the order of the points.

    `p` are adjusted over all points of all tested questions (Holm's; `statistics.family`), None where nothing
    was tested.
    """

    quantity: str
    a: str
    b: str
    found: tuple[Answer, ...]
    p: tuple[float | None, ...]
    ups: tuple[Outcome, ...]

    def winner(self, place: int) -> str | None:
        """The arm that is separably better at a point, or has less of a counted cost; None for neither."""
        one, p = self.found[place], self.p[place]
        outcome = one.verdict.outcome
        if is_counted(self.quantity):
            return {Outcome.BETTER: self.a, Outcome.WORSE: self.b}.get(outcome)
        if p is None or p > LEVEL or one.estimate.value is None:
            return None
        neutral = 1.0 if one.is_cost else 0.0
        up = self.ups[place] in (Outcome.BETTER, Outcome.HIGHER)
        return self.a if (one.estimate.value > neutral) == up else self.b

    def in_words(self, place: int) -> str:
        """The winner, or why there is none."""
        winner = self.winner(place)
        if winner is not None:
            return winner
        value = self.found[place].estimate.value
        return NOT_TESTED if value is None else NOT_SEPARABLE


def contests(points: Sequence[At]) -> list[Contest]:
    """Every question that the comparison registered; none where it asks none."""
    columns = list(zip(*(answers(at.view) for at in points), strict=True))
    p_values = [
        [None if is_counted(one.quantity) else one.estimate.p for one in column] for column in columns
    ]
    known = [p for column in p_values for p in column if p is not None]
    family = iter(adjusted([Statements(p) for p in known]))
    found = []
    for column, values in zip(columns, p_values, strict=True):
        p = tuple(None if value is None else next(family).difference for value in values)
        first = column[0]
        ups = tuple(_up(at.view, first.quantity) for at in points)
        found.append(Contest(first.quantity, first.a, first.b, tuple(column), p, ups))
    return found


def _up(view: ComparisonView, quantity: str) -> Outcome:
    """What more of a quantity is for the arm that has it."""
    return Outcome.WORSE if cost_of(quantity) is not None else directions(view, quantity)[0]


def numeric(values: Sequence[object]) -> list[float] | None:
    """The values of a field as numbers, None where they are none."""
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    return [float(value) for value in values if isinstance(value, int | float)]


def exponent(points: Sequence[At], field: str, arm: str, quantity: Quantity) -> Estimate:
    """b of cost = a * field^b by least squares on logarithms, with its 95% t interval over the points."""
    target = "points of the sweep"
    xs = numeric([at.settings[field] for at in points])
    ys = [arm_cost(at.view, arm, quantity).value for at in points]
    if xs is None or min(xs) <= 0:
        return Estimate.absent(f"{field} is not above 0 at every point", target=target)
    known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and y > 0]
    if len({x for x, _ in known}) < 3:
        return Estimate.absent("fewer than 3 values have a cost", n=len(known), target=target)
    x, y = np.log(np.array(known)).T
    fit = stats.linregress(x, y)
    width = float(stats.t.ppf(1 - LEVEL / 2, len(known) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    if not math.isfinite(width):
        return Estimate(slope, None, None, len(known), None, target, reason="no spread")
    return Estimate(slope, slope - width, slope + width, len(known), None, target)
