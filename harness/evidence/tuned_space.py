"""Where a drawn setting lies in what it was drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.tuned import Place, Search, setting_of
from harness.records import TuningTrial
from harness.records.tuning import Setting
from harness.units import significant

EDGE = 0.05
"""How much of a range, at either end of it, is its edge."""


@dataclass(frozen=True)
class Range:
    """The choices of a setting in order, or its numbers from `low` to `high`, even in logarithms if `log`."""

    choices: tuple[Setting, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    def place(self, value: Setting) -> float:
        """From 0 at the first choice or lowest number to 1; a half where there is one value."""
        if self.choices:
            last = len(self.choices) - 1
            return self.choices.index(value) / last if last else 0.5
        low, high, at = (self._scaled(float(one)) for one in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def marks(self) -> tuple[tuple[float, str], ...]:
        """Places with their words: every choice, or both ends and the middle."""
        if self.choices:
            return tuple((self.place(choice), in_words(choice)) for choice in self.choices)
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        values = dict.fromkeys((self.low, middle, self.high))
        return tuple((self.place(value), in_words(value)) for value in values)

    def at_an_end(self, value: Setting) -> bool:
        """Whether a number lies in the outer twentieth of its range, so that a wider one may have better."""
        return not self.choices and not EDGE <= self.place(value) <= 1 - EDGE

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def range_of(search: Search, place: Place) -> Range:
    """The range as it was written, or that of what was drawn where the record has none."""
    stage, key = place
    written = search.tuning.space.get(stage, {}).get(key, {})
    drawn = [value for trial in search.trials if (value := setting_of(trial, place)) is not None]
    return _written(written, drawn) or _observed(drawn)


def _written(space: Mapping[str, Setting | list[Setting]], drawn: Sequence[Setting]) -> Range | None:
    """What a space says; None where it says nothing, or where something else was drawn."""
    choices, low, high = (space.get(name) for name in ("choices", "low", "high"))
    if isinstance(choices, list) and set(drawn) <= set(choices):
        return Range(tuple(choices))
    if isinstance(low, int | float) and isinstance(high, int | float):
        log = bool(space.get("log")) and low > 0
        inside = all(isinstance(value, int | float) and low <= value <= high for value in drawn)
        return Range(low=low, high=high, log=log) if inside else None
    return None


def _observed(drawn: Sequence[Setting]) -> Range:
    numbers = [float(value) for value in drawn if not isinstance(value, str | bool)]
    if len(numbers) < len(drawn):
        return Range(tuple(dict.fromkeys(drawn)))
    return Range(low=min(numbers), high=max(numbers))


def settings_in_words(search: Search, trial: TuningTrial) -> str:
    """`dpo.beta 0.1, dpo.learning_rate 5e-06`: what a trial drew."""
    drawn = ((place, setting_of(trial, place)) for place in search.places)
    return ", ".join(f"{'.'.join(place)} {in_words(value)}" for place, value in drawn if value is not None)


def in_words(value: Setting) -> str:
    """A setting with three digits; words and truths as they are."""
    return significant(value) if isinstance(value, float) else str(value)
