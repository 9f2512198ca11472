"""Which unit runs on which device and when: list scheduling, the longest first. Pure.

A device that falls free takes the longest unit that may start, as executors do, so that what is foretold here
is what they would do. Phases have barriers between them: a phase begins when all of the one before is over.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Task:
    """What runs on one device without a break, `seconds` of a device of speed 1; None where nothing foretells
    them. `needs` are names of tasks; those of other phases are met. All of a phase is `on_driver`, one after
    the other where the command runs and on none of the devices, or nothing of it is."""

    name: str
    phase: str
    seconds: float | None
    needs: tuple[str, ...] = ()
    on_driver: bool = False


@dataclass(frozen=True)
class Fleet:
    """Devices by their speed: 2.0 needs half the seconds of 1.0, that of the device which foretold them."""

    speeds: tuple[float, ...]

    @property
    def total(self) -> float:
        """Seconds of work, of a device of speed 1, that all devices do in a second."""
        return math.fsum(self.speeds)


DRIVER = Fleet((1.0,))


@dataclass(frozen=True)
class Placed:
    """A task with its device (by number from 0, None on the driver) and when it begins and ends, in
    seconds; one whose seconds are unknown ends when it begins."""

    task: Task
    device: int | None
    begins: float
    ends: float


@dataclass(frozen=True)
class Schedule:
    """All tasks of all phases in the order of their starts.

    `least` is what no schedule of these phases on these devices can beat, in seconds. Where some task's
    seconds are unknown all seconds are what is known of them, and the true ones are more.
    """

    fleet: Fleet
    placed: tuple[Placed, ...]
    least: float

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end."""
        return max((one.ends for one in self.placed), default=0.0)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Tasks that nothing foretells."""
        return tuple(one.task.name for one in self.placed if one.task.seconds is None)

    @property
    def busy(self) -> float:
        """Device-seconds in which some task runs."""
        return math.fsum(one.ends - one.begins for one in self.placed if one.device is not None)

    @property
    def held(self) -> float:
        """Device-seconds of devices that are all held from the first start to the last end."""
        return self.makespan * len(self.fleet.speeds)


def schedule(tasks: Iterable[Task], fleet: Fleet) -> Schedule:
    """Tasks phase by phase; raises ValueError for one that is given before what it needs."""
    placed, now, least = list[Placed](), 0.0, 0.0
    for _, of_phase in groupby(tasks, key=lambda task: task.phase):
        phase = tuple(of_phase)
        places = DRIVER if phase[0].on_driver else fleet
        placed += _played(phase, places, now)
        now = max(one.ends for one in placed)
        least += least_seconds(phase, places)
    return Schedule(fleet, tuple(sorted(placed, key=lambda one: one.begins)), least)


def longest_first(tasks: Sequence[Task]) -> list[Task]:
    """The order in which tasks of one phase are started: by the seconds of a task and of the longest chain
    that waits for it. What is unknown comes first, since it may be the longest."""
    tails = _tails(tasks)
    return sorted(tasks, key=lambda task: (task.seconds is not None, -tails[task.name]))


def critical_path(tasks: Iterable[Task]) -> list[Task]:
    """The longest chain of each phase, one after the other: what no number of devices makes shorter."""
    path = list[Task]()
    for _, of_phase in groupby(tasks, key=lambda task: task.phase):
        phase = tuple(of_phase)
        tails, by_name = _tails(phase), {task.name: task for task in phase}
        ahead = list(phase)
        while ahead:
            path.append(max(ahead, key=lambda task: tails[task.name]))
            ahead = [task for task in by_name.values() if path[-1].name in task.needs]
    return path


def _tails(tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds from a task's start to the end of the longest chain that begins with it, at speed 1."""
    tails, after = dict[str, float](), dict[str, float]()
    for task in reversed(tasks):
        tails[task.name] = (task.seconds or 0.0) + after.get(task.name, 0.0)
        for need in task.needs:
            if need in tails:
                raise ValueError(f"{task.name} needs {need}, which comes after it")
            after[need] = max(after.get(need, 0.0), tails[task.name])
    return tails


def _within(task: Task, phase: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(need for need in task.needs if need in phase))


def least_seconds(tasks: Sequence[Task], fleet: Fleet) -> float:
    """What no schedule of one phase can beat: all work spread evenly, the longest chain on the fastest
    device, and what some device has to take where there are more tasks than devices.

    Of the `k * m + 1` longest tasks some device of `m` takes `k + 1`, whose seconds are at least those of the
    shortest of them. This tells that 3 equal blocks need 2 rounds on 2 devices.
    """
    fastest, devices = max(fleet.speeds), len(fleet.speeds)
    longest = sorted((task.seconds or 0.0 for task in tasks), reverse=True)
    rounds = [
        math.fsum(longest[k * devices - k : k * devices + 1])
        for k in range(1, (len(longest) - 1) // devices + 1)
    ]
    chain = max(_tails(tasks).values())
    return max(math.fsum(longest) / fleet.total, max([chain, *rounds]) / fastest)


def _played(tasks: Sequence[Task], fleet: Fleet, begin: float) -> list[Placed]:
    """One phase played through: start what may start, go on to the next end, and so on."""
    order, placed, now = longest_first(tasks), list[Placed](), begin
    rank = {task.name: at for at, task in enumerate(order)}
    unmet = {task.name: len(_within(task, rank)) for task in tasks}
    followers: dict[str, list[str]] = {name: [] for name in rank}
    for task in tasks:
        for need in _within(task, rank):
            followers[need].append(task.name)
    ready = [rank[name] for name, count in unmet.items() if not count]
    free = [(-speed, device) for device, speed in enumerate(fleet.speeds)]
    heapq.heapify(ready)
    heapq.heapify(free)
    running: list[tuple[float, int, int]] = []
    while ready or running:
        while ready and free:
            task, (slowness, device) = order[heapq.heappop(ready)], heapq.heappop(free)
            ends = now + (task.seconds or 0.0) / -slowness
            placed.append(Placed(task, None if task.on_driver else device, now, ends))
            heapq.heappush(running, (ends, rank[task.name], device))
        now, ended, device = heapq.heappop(running)
        heapq.heappush(free, (-fleet.speeds[device], device))
        for follower in followers[order[ended].name]:
            unmet[follower] -= 1
            if not unmet[follower]:
                heapq.heappush(ready, rank[follower])
    return placed
