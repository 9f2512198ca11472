"""A schedule in tables and words: when it is done, what it costs, which unit is where. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from rich.table import Table

from harness.measure.factors import Factors, co2_grams, money
from harness.quantities import ENERGY
from harness.running.fleets import in_words
from harness.running.lines import duration
from harness.running.overheads import Overheads
from harness.running.schedule import Placed, Schedule, Task, critical_path
from harness.running.unit_seconds import UnitSeconds
from harness.tables import Cell
from harness.units import plain, significant

MOST_LISTED = 24
"""Units of which each has a line; more are told phase by phase."""
Watts = tuple[float | None, str]
Column = tuple[str, Callable[[Schedule], str]]
"""A heading, and what it says of a schedule."""


def schedules_table(found: Sequence[Schedule], factors: Factors, watts: Watts) -> Table:
    """A row a fleet: when all is done, what no schedule can beat, and what it takes."""
    table = Table(title="Schedules", title_justify="left", box=None)
    columns = [*_times(), *_prices(factors, watts)]
    for heading, _ in columns:
        table.add_column(heading, justify="left" if heading == "devices" else "right")
    for one in found:
        table.add_row(*(cell(one) for _, cell in columns))
    return table


def _times() -> list[Column]:
    return [
        ("devices", lambda one: in_words(one.fleet)),
        ("takes", lambda one: _known(one, one.makespan)),
        ("no schedule beats", lambda one: _known(one, one.least)),
        ("device-hours in use", lambda one: f"{one.busy / 3600:,.4g}"),
        ("held", lambda one: f"{one.held / 3600:,.4g}"),
        ("in use", lambda one: f"{one.busy / one.held:.0%}" if one.held else "0%"),
    ]


def _known(one: Schedule, seconds: float) -> str:
    """What is unknown comes on top."""
    return ("over " if one.unknown else "") + duration(seconds)


def _prices(factors: Factors, watts: Watts) -> list[Column]:
    """Money, energy and CO2, where something tells of them."""

    def money_for(seconds: float, one: Schedule) -> str:
        return _figure(*money(seconds, joules_of(one, watts), watts[1], factors))

    columns: list[Column] = []
    if factors.price_per_device_hour is not None or factors.price_per_kwh is not None:
        currency = factors.currency or "currency not given"
        columns.append((f"money in use ({currency})", lambda one: money_for(one.busy, one)))
        columns.append(("held", lambda one: money_for(one.held, one)))
    if watts[0] is not None:
        columns.append(("energy", lambda one: _energy(joules_of(one, watts))))
    if factors.grams_co2_per_kwh is not None:
        columns.append(("CO2 (g)", lambda one: _figure(*co2_grams(joules_of(one, watts), watts[1], factors))))
    return columns


def _figure(value: float | None, why: str | None) -> str:
    return f"not foretold ({why})" if value is None else significant(value, 4)


def _energy(joules: float | None) -> str:
    return "not foretold" if joules is None else plain(Cell(joules, ENERGY.kind))


def joules_of(one: Schedule, watts: Watts) -> float | None:
    """Energy of all that runs, at the power that was measured; None for devices of another speed."""
    power = watts[0]
    alike = all(speed == 1 for speed in one.fleet.speeds)
    return None if power is None or not alike else power * one.busy


def path_in_words(tasks: Iterable[Task]) -> str:
    """The longest chain: what no number of devices makes shorter."""
    path = critical_path(tasks)
    links = [f"{task.name} {'unknown' if task.seconds is None else duration(task.seconds)}" for task in path]
    whole = sum(task.seconds or 0.0 for task in path)
    return f"Longest chain: {', '.join(links)}; {duration(whole)} on any number of such devices."


def sources_in_words(units: Sequence[UnitSeconds]) -> str:
    """What foretells the stages' seconds, and by name what nothing does."""
    counted = Counter(source for unit in units for _, _, source in unit.stages)
    known = [f"{count} {source}" for source, count in counted.items() if source != "unknown"]
    unknown = dict.fromkeys(_without_seed(name) for unit in units for name in unit.unknown)
    if not known:
        return f"Nothing foretells {', '.join(unknown)}."
    told = f"Stages by what foretells their seconds: {', '.join(known)}."
    if not unknown:
        return told
    return (
        f"{told} Nothing foretells {', '.join(unknown)}: all of that comes on top of every figure here, "
        "money and energy among them."
    )


def around_in_words(around: Overheads) -> str:
    """What comes on top of stages, where a part of it is known."""
    told = f"A worker takes {around.worker:.1f} s to start" if around.worker else "Workers start in no time"
    return f"{told}; between two stages are {around.between:.2f} s."


def _without_seed(name: str) -> str:
    return name.partition("@")[0]


def phases_table(one: Schedule) -> Table:
    """A row a phase: how many units, when they begin and end, and how far its devices are in use."""
    table = Table(title=f"On {in_words(one.fleet)}: phases", title_justify="left", box=None)
    for heading in ("phase", "units", "begins", "ends", "in use"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase, of_phase in groupby(one.placed, key=lambda placed: placed.task.phase):
        placed = list(of_phase)
        begins, ends = min(p.begins for p in placed), max(p.ends for p in placed)
        table.add_row(phase, str(len(placed)), _at(begins), _at(ends), _in_use(one, placed, ends - begins))
    return table


def _in_use(one: Schedule, placed: Sequence[Placed], seconds: float) -> str:
    if placed[0].device is None:
        return "on the driver"
    used = sum(p.ends - p.begins for p in placed)
    return f"{used / (seconds * len(one.fleet.speeds)):.0%}" if seconds else "unknown"


def units_table(one: Schedule) -> Table | None:
    """A row a unit: its device and when; None where there are more than a few."""
    if len(one.placed) > MOST_LISTED:
        return None
    table = Table(title=f"On {in_words(one.fleet)}: units", title_justify="left", box=None)
    for heading in ("unit", "device", "begins", "ends"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for placed in one.placed:
        ends = "unknown" if placed.task.seconds is None else _at(placed.ends)
        table.add_row(placed.task.name, _device(placed), _at(placed.begins), ends)
    return table


def _device(placed: Placed) -> str:
    return "driver" if placed.device is None else str(placed.device + 1)


def _at(seconds: float) -> str:
    return "0" if seconds == 0 else duration(seconds)
