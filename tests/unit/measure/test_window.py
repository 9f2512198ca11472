"""Phases from a scripted clock."""

from __future__ import annotations

import pytest

from harness.measure.window import SystemClock, Window


class FakeClock:
    """Gives its readings in order and counts how often it waited for the device."""

    def __init__(self, *readings: float) -> None:
        self.readings = list(readings)
        self.calls: list[str] = []

    def now(self) -> float:
        self.calls.append("now")
        return self.readings.pop(0)

    def synchronize(self) -> None:
        self.calls.append("synchronize")


def test_nested_phases_are_exclusive() -> None:
    window = Window(clock=FakeClock(0, 10, 13, 20))
    with window.phase("train"), window.phase("evaluation"):
        pass
    assert window.seconds == {"train": 10 + 7, "evaluation": 3}


def test_the_device_is_waited_for_before_each_reading() -> None:
    clock = FakeClock(0, 1)
    with Window(clock=clock).phase("train"):
        clock.calls.append("work")
    assert clock.calls == ["synchronize", "now", "work", "synchronize", "now"]


def test_a_phase_that_comes_again_adds_up_and_gaps_count_for_nobody() -> None:
    window = Window(clock=FakeClock(0, 2, 10, 13))
    for _ in range(2):
        with window.phase("save"):
            pass
    assert window.seconds == {"save": 2 + 3}


def test_headline_leaves_out_data_start_up_and_evaluation() -> None:
    window = Window(clock=FakeClock())
    window.seconds = {"model_load": 1, "reference": 2, "train": 4, "save": 8, "data": 16, "evaluation": 32}
    assert window.headline() == 15


def test_a_phase_that_fails_is_closed() -> None:
    window = Window(clock=FakeClock(0, 5, 9, 10))
    with pytest.raises(ValueError, match="boom"), window.phase("train"):
        raise ValueError("boom")
    with window.phase("save"):
        pass
    assert window.seconds == {"train": 5, "save": 1}


def test_the_system_clock_moves_forward_without_a_gpu() -> None:
    clock = SystemClock()
    began = clock.now()
    clock.synchronize()
    assert clock.now() >= began


def test_every_phase_is_told_of_when_it_begins_and_telling_is_on_no_clock() -> None:
    """The clock is read before and after what is told: 1, 5 and 3 seconds pass while it is."""
    told: list[str | None] = []
    window = Window(clock=FakeClock(0, 1, 3, 8, 10, 13, 20, 20), tell=told.append)
    with window.phase("train"), window.phase("evaluation"):
        pass
    assert told == ["train", "evaluation", "train", None]
    assert window.seconds == {"train": 2 + 7, "evaluation": 2}
