"""Which of a run's steps warm it up, and its pace without them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP_SHARE = 0.2
SLOWER, DEVIATIONS = 1.25, 5.0


@dataclass(frozen=True)
class StepTimes:
    """Seconds of optimizer steps. `warm_up` counts the first ones, which totals include and the
    pace leaves out; `slowest` is the index of the slowest one after them."""

    n: int
    warm_up: int
    median: float
    p10: float
    p90: float
    slowest: int


def warm_up_steps(seconds: Sequence[float]) -> int:
    """How many first steps are longer than the later half's spread explains.

    A step warms up while it takes over 1.25 medians of the later half and lies over 5 median
    absolute deviations above it; at most the first fifth of a run does.
    """
    if len(seconds) < 4:
        return 0
    later = seconds[len(seconds) // 2 :]
    middle = statistics.median(later)
    deviation = statistics.median(abs(s - middle) for s in later)
    bound = max(SLOWER * middle, middle + DEVIATIONS * deviation)
    count = 0
    while count < int(len(seconds) * WARM_UP_SHARE) and seconds[count] > bound:
        count += 1
    return count


def step_times(seconds: Sequence[float]) -> StepTimes | None:
    """The summary of a run's steps, or None where there are none."""
    if not seconds:
        return None
    warm_up = warm_up_steps(seconds)
    steady = sorted(seconds[warm_up:])
    last = len(steady) - 1
    slowest = max(range(warm_up, len(seconds)), key=lambda i: seconds[i])
    return StepTimes(
        n=len(seconds),
        warm_up=warm_up,
        median=statistics.median(steady),
        p10=steady[round(0.1 * last)],
        p90=steady[round(0.9 * last)],
        slowest=slowest,
    )
