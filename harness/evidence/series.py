"""Lines and clouds of figures from values of several seeds: means with the intervals that tables have."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.statistics.estimate import ITEMS_TARGET, mean_interval
from harness.tables import Series


def banded(
    label: str, x: Sequence[float], by_seed: Sequence[Sequence[float]], breaks: Sequence[float] = ()
) -> Series:
    """A line through the means over seeds at each x, in the band of their 95% t intervals.

    `by_seed` holds for each x a value a seed. Where some x has one value, or values without spread, there is
    no band at it; `breaks` are the x at which one stage ended and the next began.
    """
    estimates = [mean_interval(values, ITEMS_TARGET) for values in by_seed]
    means = [sum(values) / len(values) for values in by_seed]
    lows, highs = (
        [mean if end is None else end for end, mean in zip(ends, means, strict=True)]
        for ends in ([one.low for one in estimates], [one.high for one in estimates])
    )
    return Series(label, tuple(x), tuple(means), tuple(lows), tuple(highs), tuple(breaks))


def cloud(label: str, x: Sequence[float], y: Sequence[float]) -> Series:
    """A point a seed, and their mean with its 95% t interval where there are two or more."""
    whole = mean_interval(y, ITEMS_TARGET)
    centre = None
    if whole.value is not None and whole.low is not None and whole.high is not None and len(y) > 1:
        centre = (sum(x) / len(x), whole.value, whole.low, whole.high)
    return Series(label, tuple(x), tuple(y), centre=centre)
