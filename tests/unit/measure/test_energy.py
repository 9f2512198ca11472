"""Joules from a scripted counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.measure.energy import EnergyMeter


class StillClock:
    """Counts how often the device was waited for."""

    def __init__(self) -> None:
        self.synchronised = 0

    def now(self) -> float:
        return 0.0

    def synchronize(self) -> None:
        self.synchronised += 1


def counter(*readings: float) -> Callable[[], float]:
    left: Iterator[float] = iter(readings)
    return lambda: next(left)


def test_energy_is_the_counters_difference_and_stops_once() -> None:
    clock = StillClock()
    meter = EnergyMeter(device="cuda", counter=counter(100.0, 250.0, 999.0), clock=clock)
    meter.start()
    meter.stop()
    meter.stop()
    assert meter.measurements()[0].value == 150.0
    assert clock.synchronised == 2


def test_energy_is_absent_with_a_reason_on_a_cpu() -> None:
    meter = EnergyMeter(device="cpu")
    meter.start()
    meter.stop()
    assert (meter.measurements()[0].value, meter.measurements()[0].reason) == (None, "no CUDA device")


def test_a_counter_that_fails_is_a_reason_and_no_crash() -> None:
    def refuse() -> float:
        raise RuntimeError("Not Supported")

    meter = EnergyMeter(device="cuda", counter=refuse, clock=StillClock())
    meter.start()
    meter.stop()
    assert meter.measurements()[0].reason == "the energy counter cannot be read: Not Supported"


def test_a_meter_nobody_stopped_has_no_value() -> None:
    meter = EnergyMeter(device="cuda", counter=counter(1.0), clock=StillClock())
    meter.start()
    assert meter.measurements()[0].reason == "the counter was not read"
