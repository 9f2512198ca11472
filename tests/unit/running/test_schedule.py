"""List scheduling: against brute force on tiny cases, its bound, barriers, needs, speeds, what is unknown."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from harness.running.schedule import (
    Fleet,
    Schedule,
    Task,
    critical_path,
    least_seconds,
    longest_first,
    schedule,
)

HOUR = 3600.0


def tasks_of(*seconds: float | None, phase: str = "train") -> list[Task]:
    return [Task(f"{phase} {number}", phase, one) for number, one in enumerate(seconds)]


def optimum(tasks: list[Task], fleet: Fleet) -> float:
    """Of independent tasks, by every way to give them to devices."""
    best = float("inf")
    for devices in itertools.product(range(len(fleet.speeds)), repeat=len(tasks)):
        loads = [0.0] * len(fleet.speeds)
        for task, device in zip(tasks, devices, strict=True):
            loads[device] += (task.seconds or 0.0) / fleet.speeds[device]
        best = min(best, max(loads))
    return best


def never_two_on_one(found: Schedule) -> bool:
    by_device: dict[int | None, list[tuple[float, float]]] = {}
    for one in found.placed:
        by_device.setdefault(one.device, []).append((one.begins, one.ends))
    return all(
        left[1] <= right[0]
        for spans in by_device.values()
        for left, right in itertools.pairwise(sorted(spans))
    )


@pytest.mark.parametrize("devices", [1, 2, 3])
@pytest.mark.parametrize("seed", range(25))
def test_equal_devices_against_brute_force(devices: int, seed: int) -> None:
    """Between the bound and Graham's (1969) 4/3 - 1/(3m) of the optimum."""
    draw = random.Random(seed)
    tasks = tasks_of(*(float(draw.randint(1, 20)) for _ in range(draw.randint(1, 6))))
    fleet = Fleet((1.0,) * devices)
    found, best = schedule(tasks, fleet), optimum(tasks, fleet)
    assert found.least <= best + 1e-9
    assert best - 1e-9 <= found.makespan <= best * (4 / 3 - 1 / (3 * devices)) + 1e-9
    assert never_two_on_one(found)
    assert {one.task.name for one in found.placed} == {task.name for task in tasks}


@pytest.mark.parametrize("seed", range(25))
def test_the_bound_holds_for_devices_of_other_speeds(seed: int) -> None:
    draw = random.Random(seed)
    tasks = tasks_of(*(float(draw.randint(1, 20)) for _ in range(5)))
    fleet = Fleet((1.0, draw.choice([1.5, 2.0, 3.0])))
    best, found = optimum(tasks, fleet), schedule(tasks, fleet)
    assert found.least <= best + 1e-9 <= found.makespan + 2e-9
    assert never_two_on_one(found)


def test_three_equal_blocks_need_two_rounds_of_two_devices() -> None:
    found = schedule(tasks_of(10, 10, 10), Fleet((1.0, 1.0)))
    assert (found.makespan, found.least) == (20, 20)
    assert least_seconds(tasks_of(9, 9, 9, 9, 9), Fleet((1.0, 1.0))) == 27


def test_a_phase_begins_when_the_one_before_is_over() -> None:
    tasks = [*tasks_of(5, 3, phase="train"), *tasks_of(2, 2, phase="evaluate")]
    found = schedule(tasks, Fleet((1.0, 1.0)))
    assert [one.begins for one in found.placed if one.task.phase == "evaluate"] == [5, 5]
    assert (found.makespan, found.busy, found.held) == (7, 12, 14)


def test_what_runs_on_the_driver_takes_no_device() -> None:
    judge = [Task(f"judge {n}", "judge", 4.0, on_driver=True) for n in range(2)]
    found = schedule([*tasks_of(6, 6), *judge], Fleet((1.0, 1.0)))
    assert [one.device for one in found.placed if one.task.phase == "judge"] == [None, None]
    assert (found.makespan, found.busy) == (14, 12)


def test_a_task_waits_for_those_that_it_needs_and_its_chain_goes_first() -> None:
    first = Task("a", "train", 2.0)
    after = Task("b", "train", 6.0, needs=("a", "prepare"))
    tasks = [Task("long", "train", 5.0), first, after, Task("short", "train", 1.0)]
    assert [task.name for task in longest_first(tasks)] == ["a", "b", "long", "short"]
    found = schedule(tasks, Fleet((1.0, 1.0)))
    begins = {one.task.name: one.begins for one in found.placed}
    assert begins == {"a": 0, "long": 0, "b": 2, "short": 5}
    assert [task.name for task in critical_path(tasks)] == ["a", "b"]
    assert found.makespan == found.least == 8
    with pytest.raises(ValueError, match="b needs a, which comes after it"):
        schedule([after, first], Fleet((1.0,)))


def test_the_faster_device_takes_the_longer_block() -> None:
    found = schedule(tasks_of(4, 8), Fleet((1.0, 2.0)))
    assert {one.task.name: (one.device, one.ends) for one in found.placed} == {
        "train 1": (1, 4),
        "train 0": (0, 4),
    }
    assert found.least == 4


def test_what_nothing_foretells_is_named_and_starts_first() -> None:
    found = schedule(tasks_of(3, None, 5), Fleet((1.0,)))
    assert found.unknown == ("train 1",)
    assert found.placed[0].task.name == "train 1"
    assert found.makespan == 8


def test_a_thousand_cells_on_64_devices_take_far_less_than_five_seconds() -> None:
    """Every cell a unit of its own: more than blocks would be."""
    draw = random.Random(0)
    tasks = [
        *tasks_of(60.0, phase="prepare"),
        *tasks_of(*(draw.lognormvariate(8, 0.5) for _ in range(1000))),
        *tasks_of(*(draw.lognormvariate(6, 0.5) for _ in range(1000)), phase="evaluate"),
    ]
    begin = time.perf_counter()
    found = schedule(tasks, Fleet((1.0,) * 64))
    assert time.perf_counter() - begin < 2
    assert found.least <= found.makespan < 1.05 * found.least
    assert never_two_on_one(found)
