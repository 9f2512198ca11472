"""A comparison at every point of a grid of its own settings: which points there are. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from harness.records import SweepValue

NOT_SWEPT = ("kind", "name", "sweep", "arms", "seeds", "looks", "questions", "tuning")
MOST_FIELDS, MOST_POINTS = 2, 400
Point = Mapping[str, SweepValue]
"""A value by field, such as `{"data.limit": 100}`."""


def _checked(sweep: dict[str, list[SweepValue]]) -> dict[str, list[SweepValue]]:
    """Fields that can be swept, each with values that differ; raises ValueError."""
    for name, values in sweep.items():
        if name.partition(".")[0] in NOT_SWEPT:
            raise ValueError(f"{name} cannot be swept, since points would not be about the same question")
        if not values:
            raise ValueError(f"{name} has no values; list at least one")
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(f"{name} has {twice} twice; name each value once")
    if len(sweep) > MOST_FIELDS:
        raise ValueError(f"{len(sweep)} fields; give at most {MOST_FIELDS}, which is what a diagram shows")
    count = math.prod(map(len, sweep.values()))
    if count > MOST_POINTS:
        raise ValueError(f"{count:,} points; give at most {MOST_POINTS}")
    return sweep


SweepSpec = Annotated[dict[str, list[SweepValue]], AfterValidator(_checked)]
"""Values by the dotted name of a field of the comparison file."""


def points(sweep: Mapping[str, list[SweepValue]]) -> list[Point]:
    """All combinations, the last field varying fastest; none where nothing is swept."""
    if not sweep:
        return []
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def in_words(point: Point) -> str:
    """`data.limit 100, data.label_noise 0.5`."""
    return ", ".join(f"{name} {value}" for name, value in point.items())
