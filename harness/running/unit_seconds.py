"""What each unit of a plan should take and what foretells it, or what it took in a finished run. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.pipeline.blocks import PHASES, Unit, units_of
from harness.records import ComparisonRecord, Plan, RehearseFacts, StageResult
from harness.running.outlook import look_ahead, rehearsal_of
from harness.running.parts import parts_of
from harness.running.schedule import Task

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

    @property
    def task(self) -> Task:
        """The unit as the schedule takes it."""
        unit = self.unit
        return Task(unit.name, unit.phase, self.seconds, unit.needs, unit.phase in ON_DRIVER)


def foretold(
    plan: Plan, results: Mapping[str, StageResult], *, flops_per_second: float | None = None
) -> list[UnitSeconds]:
    """The units of `plan` that have stages without a result.

    With `flops_per_second`, of a device that rehearsed nothing, training takes its counted FLOPs at that
    rate, and nothing foretells what else would run there.
    """
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
    return units


def taken(record: ComparisonRecord) -> list[UnitSeconds]:
    """The units of a finished run with the seconds that their stages took, wherever they ran."""
    results = record.results
    units = []
    for unit in _in_phases(record.plan):
        done = [results[digest] for digest in unit.stages if digest in results]
        if done:
            units.append(UnitSeconds(unit, tuple(_as_it_took(result) for result in done)))
    return units


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
