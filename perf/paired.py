"""Ours beside theirs in one run: turns, ratios of paired repeats with their intervals, and what a goal says.

Which side goes first alternates, so that a drift of the machine meets both alike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy import stats

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Interval:
    """A mean of paired repeats with its 95% t-interval, which a single repeat has not."""

    mean: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        bounds = "" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.mean:.3f}{bounds}"


@dataclass(frozen=True)
class Goal:
    """What a ratio, ours over theirs, has to be: at most `limit`, or at least that; `meaning` in words."""

    limit: float
    meaning: str
    at_least: bool = False

    def verdict(self, one: Interval) -> str:
        """What the interval allows to say; the goal is missed only where all of the interval misses it."""
        if one.low is None or one.high is None:
            return "one repeat, no interval"
        missed, met = one.low > self.limit, one.high <= self.limit
        if self.at_least:
            missed, met = one.high < self.limit, one.low >= self.limit
        return "misses the goal" if missed else "meets the goal" if met else "not decided"

    def missed(self, one: Interval) -> bool:
        """Whether the whole interval lies on the wrong side."""
        return self.verdict(one) == "misses the goal"

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


def mean_of(values: Sequence[float]) -> Interval:
    """The mean of repeats."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Ours over theirs: the geometric mean of paired repeats, its interval taken on logs."""
    one = mean_of([math.log(a / b) for a, b in zip(ours, theirs, strict=True)])
    if one.low is None or one.high is None:
        return Interval(math.exp(one.mean))
    return Interval(math.exp(one.mean), math.exp(one.low), math.exp(one.high))


def separable(one: Interval) -> bool:
    """Whether a difference is told apart from none."""
    return one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)


def in_turn(number: int, ours: Callable[[], A], theirs: Callable[[], B]) -> tuple[A, B]:
    """Both results of one repeat; ours runs first in even ones, theirs in odd ones."""
    if number % 2:
        their_result = theirs()
        return ours(), their_result
    our_result = ours()
    return our_result, theirs()
