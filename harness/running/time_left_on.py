"""How long a comparison still takes whose units run side by side on several devices. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.pipeline.blocks import PHASES, Unit, units_in, units_of
from harness.records import Plan
from harness.running.outlook import Outlook
from harness.running.time_left import REPORT_SECONDS, At, left_of_stage, time_left


@dataclass(frozen=True)
class TimesLeft:
    """Seconds of each running stage, by digest, and of all with the report; as `TimeLeft`."""

    stages: Mapping[str, float | None]
    whole: float | None
    on_top: tuple[str, ...] = ()


def time_left_on(
    plan: Plan, devices: int, outlook: Outlook, running: Sequence[At], *, report: float = REPORT_SECONDS
) -> TimesLeft:
    """What is left on `devices`, of which each takes the next unit when it is free.

    A phase ends with its last unit, and the next begins then. On one device as `time_left`.
    """
    first = running[0] if running else None
    alone = time_left(outlook, first, report=report)
    if devices == 1:
        stages = {} if first is None else {first.digest: alone.stage}
        return TimesLeft({at.digest: stages.get(at.digest) for at in running}, alone.whole, alone.on_top)
    left = {at.digest: _left(outlook, at) for at in running}
    if alone.whole is None:
        return TimesLeft(left, None)
    ahead = {digest: one.parts.total for digest, one in outlook.stages.items() if one.parts is not None}
    seconds = {**ahead, **{digest: value or 0.0 for digest, value in left.items()}}
    units = units_of(plan)
    whole = sum(_makespan(units_in(units, phase), seconds, left, devices) for phase in PHASES)
    return TimesLeft(left, whole + report, alone.on_top)


def _left(outlook: Outlook, at: At) -> float | None:
    expected = outlook.stages.get(at.digest)
    return left_of_stage(expected.parts if expected is not None else None, at)


def _makespan(
    units: Sequence[Unit], seconds: Mapping[str, float], running: Mapping[str, object], devices: int
) -> float:
    """Until the last unit is over, where those that run go on and the others follow, the longest first."""
    left = {unit.name: sum(seconds.get(digest, 0.0) for digest in unit.stages) for unit in units}
    begun = {unit.name for unit in units if running.keys() & set(unit.stages)}
    free_at = [0.0] * devices
    for unit in sorted(units, key=lambda unit: (unit.name not in begun, -left[unit.name])):
        heapq.heappush(free_at, heapq.heappop(free_at) + left[unit.name])
    return max(free_at)
