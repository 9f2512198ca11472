"""From values to places on a figure's axis, and the round values that are marked there."""

from __future__ import annotations

import math
from collections.abc import Callable

Scale = Callable[[float], float]
RATIO_STEPS = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Round values from one power of ten to the next, the closest first."""
FEWEST, MOST = 4, 9


def scale(low: float, high: float, start: float, end: float, *, log: bool = False) -> Scale:
    """From values between `low` and `high`, with some room beyond, to places between `start` and `end`."""
    if log and low > 0:
        inner = scale(math.log10(low), math.log10(high), start, end)
        return lambda value: inner(math.log10(value))
    room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ratio_ticks(low: float, high: float) -> list[float]:
    """Marks of a logarithmic axis of ratios, which seldom spans a power of ten: four to nine round values."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for stride in range(1, last - first + 2):
        powers = [10.0**power for power in range(first, last + 1, stride)]
        for steps in RATIO_STEPS if stride == 1 else ((1,),):
            marks = [v for p in powers for m in steps if low <= (v := m * p) <= high]
            if FEWEST <= len(marks) <= MOST:
                return marks
    return ticks(low, high, parts=MOST - 1)


def ticks(low: float, high: float, *, log: bool = False, parts: int = 4) -> list[float]:
    """Round values that cut what lies between into at most so many parts; powers of ten on a log axis."""
    if log and low > 0:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [v for p in powers if low <= (v := 10.0**p) <= high] or [low, high]
    if low == high:
        return [low]
    rough = (high - low) / parts
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]
