"""From values to places on a figure's axis, and the round values that are marked there."""

from __future__ import annotations

import math
from collections.abc import Callable

Scale = Callable[[float], float]


def scale(low: float, high: float, start: float, end: float, *, log: bool = False) -> Scale:
    """From values between `low` and `high`, with some room beyond, to places between `start` and `end`."""
    if log and low > 0:
        inner = scale(math.log10(low), math.log10(high), start, end)
        return lambda value: inner(math.log10(value))
    room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: float, high: float, *, log: bool = False) -> list[float]:
    """Round values between the ends; powers of ten on a logarithmic axis."""
    if log and low > 0:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [v for p in powers if low <= (v := 10.0**p) <= high] or [low, high]
    if low == high:
        return [low]
    rough = (high - low) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]
