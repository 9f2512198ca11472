"""The settings of a trial, drawn at random. Pure: the same seed, stage, key and trial give the same value."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from harness.pipeline.spec import ArmSpec
from harness.pipeline.tuning_spec import SettingSpace, Space
from harness.records.tuning import Setting

Drawn = dict[str, dict[str, Setting]]
"""Settings by stage name and key."""
DIGITS = 6
"""Significant digits of a drawn number: more would tell nothing apart and fill every table."""


def space_of(space: Space, arm: ArmSpec) -> Space:
    """What is searched of one arm: the keys of its stages, but those that define it, which it sets itself."""
    found = {}
    for stage in arm.stages:
        keys = space.get(stage.stage_name, {})
        found[stage.stage_name] = {key: one for key, one in keys.items() if key not in stage.config}
    return {stage: keys for stage, keys in found.items() if keys}


def draw_trial(space: Space, *, seed: int, number: int) -> Drawn:
    """The settings of trial `number`; where two arms' spaces agree, so do their settings."""
    return {
        stage: {key: draw(one, seed=seed, stage=stage, key=key, number=number) for key, one in keys.items()}
        for stage, keys in space.items()
    }


def draw(space: SettingSpace, *, seed: int, stage: str, key: str, number: int) -> Setting:
    """One value, uniform over the range, its logarithm or the choices."""
    share = random.Random(f"{seed}/{stage}/{key}/{number}").random()
    return value_at(space, share)


def value_at(space: SettingSpace, share: float) -> Setting:
    """The value at a share (0 <= share < 1) of the space, in the type in which its ends are written."""
    if space.choices is not None:
        return space.choices[int(share * len(space.choices))]
    low, high = space.range()
    if isinstance(low, int) and isinstance(high, int):
        return _whole(low, high, share, log=space.log)
    value = low * (high / low) ** share if space.log else low + (high - low) * share
    return min(max(rounded(value), low), high)


def _whole(low: int, high: int, share: float, *, log: bool) -> int:
    """Every whole number has the part of the scale that is nearest to it."""
    if not log:
        return low + int(share * (high - low + 1))
    first, last = math.log(low - 0.5), math.log(high + 0.5)
    return min(max(round(math.exp(first + share * (last - first))), low), high)


def rounded(value: float) -> float:
    """To `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")


def with_settings(arm: ArmSpec, settings: Mapping[str, Mapping[str, Setting]]) -> ArmSpec:
    """The arm with these settings in its stages, as if its file had them."""
    stages = [
        stage.model_copy(update={"config": {**stage.config, **settings.get(stage.stage_name, {})}})
        for stage in arm.stages
    ]
    return arm.model_copy(update={"stages": stages})
