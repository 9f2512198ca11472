"""What each unit of a plan should take and what foretells it, or what it took in a finished run. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.pipeline.blocks import PHASES, Unit, units_of
from harness.records import ComparisonRecord, Plan, RehearseFacts, StageResult
from harness.running.outlook import look_ahead, rehearsal_of
from harness.running.overheads import Overheads, at_equal_starts, overheads
from harness.running.parts import parts_of
from harness.running.schedule import Fleet, Task, longest_first

ON_DRIVER = ("judge",)
"""Phases that run where the command runs."""
Source = Literal["as it took", "as finished stages took", "rehearsed", "by FLOPs and rate", "unknown"]


@dataclass(frozen=True)
class UnitSeconds:
    """A unit with the names of its stages that are to run, seconds and source of each; None where unknown."""

    unit: Unit
    stages: tuple[tuple[str, float | None, Source], ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Stages that nothing foretells."""
        return tuple(name for name, seconds, _ in self.stages if seconds is None)

    @property
    def seconds(self) -> float | None:
        """Of all its stages, one after the other; None where one of them is unknown."""
        known = [seconds for _, seconds, _ in self.stages if seconds is not None]
        return math.fsum(known) if len(known) == len(self.stages) else None


@dataclass(frozen=True)
class Work:
    """Units that run, in the order of their phases, and what running them takes around their stages."""

    units: tuple[UnitSeconds, ...]
    around: Overheads

    def tasks(self, fleet: Fleet) -> list[Task]:
        """As the schedule takes them. On several devices each unit has a worker of its own to start."""
        several = len(fleet.speeds) > 1
        return [self._task(one, starts=several or not number) for number, one in enumerate(self.units)]

    def _task(self, one: UnitSeconds, *, starts: bool) -> Task:
        unit, seconds, on_driver = one.unit, one.seconds, one.unit.phase in ON_DRIVER
        if seconds is not None:
            seconds += len(one.stages) * self.around.between
            seconds += self.around.worker if starts and not on_driver else 0.0
        return Task(unit.name, unit.phase, seconds, unit.needs, on_driver)


def foretold(
    plan: Plan, results: Mapping[str, StageResult], *, flops_per_second: float | None = None
) -> Work:
    """The units of `plan` that have stages without a result.

    With `flops_per_second`, of a device that rehearsed nothing, training takes its counted FLOPs at that
    rate, and nothing foretells what else would run there.
    """
    around = overheads(results.values())
    outlook = look_ahead(plan, results)
    silent = bool(outlook.own_ways)
    units = []
    for unit in _in_phases(plan):
        stages = list[tuple[str, float | None, Source]]()
        for digest in unit.stages:
            expected = outlook.stages.get(digest)
            if expected is None:
                continue
            name = plan.stages[digest].name
            if flops_per_second is not None:
                stages.append((name, *_by_rate(plan, digest, results, flops_per_second)))
            elif expected.parts is None or (silent and expected.kind == "evaluate"):
                stages.append((name, None, "unknown"))
            else:
                source: Source = "rehearsed" if expected.rehearsed else "as finished stages took"
                stages.append((name, expected.parts.total, source))
        if stages:
            units.append(UnitSeconds(unit, tuple(stages)))
    return Work(tuple(units), around)


def taken(record: ComparisonRecord) -> Work:
    """The units of a finished run with the seconds that their stages took, wherever they ran."""
    around = overheads(record.results.values())
    results, units = at_equal_starts(record.results, around.fork), list[UnitSeconds]()
    for unit in _in_phases(record.plan):
        done = [results[digest] for digest in unit.stages if digest in results]
        if done:
            units.append(UnitSeconds(unit, tuple(_as_it_took(result) for result in done)))
    return Work(tuple(units), around)


def longest_units_first(units: Sequence[Unit], plan: Plan, results: Mapping[str, StageResult]) -> list[Unit]:
    """Units of one phase in the order in which executors should start them (`schedule.longest_first`).

    `units` are given in an order in which each comes after what it needs, as `units_of` has them.
    """
    seconds = {one.unit.name: one.seconds for one in foretold(plan, results).units}
    tasks = [Task(unit.name, unit.phase, seconds.get(unit.name, 0.0), unit.needs) for unit in units]
    by_name = {unit.name: unit for unit in units}
    return [by_name[task.name] for task in longest_first(tasks)]


def _in_phases(plan: Plan) -> list[Unit]:
    """What scored a run again later stands behind its judges, and has its place before them here."""
    return sorted(units_of(plan), key=lambda unit: PHASES.index(unit.phase))


def _as_it_took(result: StageResult) -> tuple[str, float, Source]:
    return result.name, parts_of(result).total, "as it took"


def _by_rate(
    plan: Plan, digest: str, results: Mapping[str, StageResult], flops_per_second: float
) -> tuple[float | None, Source]:
    stage = plan.stages[digest]
    rehearsal = results.get(rehearsal_of(plan, stage) or "") if stage.kind == "train" else None
    prediction = None if rehearsal is None else rehearsal.facts_as(RehearseFacts).prediction
    if prediction is None:
        return None, "unknown"
    return prediction.flops / flops_per_second, "by FLOPs and rate"


def watts(results: Mapping[str, StageResult]) -> tuple[float | None, str]:
    """Mean power of the training stages that measured energy, and of how many; None with the reason."""
    trained = [result for result in results.values() if result.kind == "train"]
    measured = [(_value(one, "energy_joules"), _value(one, "wall_seconds")) for one in trained]
    known = [(joules, seconds) for joules, seconds in measured if joules is not None and seconds]
    if not known:
        return None, "no finished training stage measured its energy"
    power = _sum([joules for joules, _ in known]) / _sum([seconds for _, seconds in known])
    return power, f"{len(known)} finished training stage(s)"


def _value(result: StageResult, quantity: str) -> float | None:
    found = result.measured(quantity)
    return None if found is None or found.value is None else float(found.value)


def _sum(values: Sequence[float | None]) -> float:
    return math.fsum(value for value in values if value is not None)
