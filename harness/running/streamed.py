"""Which values of a stage its messages have told already. Pure."""

from __future__ import annotations

from dataclasses import replace

from harness.tracking import Point


class Streamed:
    """Which values of the stage `key` were told by its messages; not the values, since there may be many."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._steps: set[int] = set()
        self._names: set[str] = set()

    def add(self, point: Point) -> None:
        self._steps.add(point.step)
        self._names |= point.values.keys()

    def rest(self, point: Point) -> Point:
        """The values of a point of the record that no message carried."""
        if point.step not in self._steps:
            return point
        return replace(point, values={n: v for n, v in point.values.items() if n not in self._names})
