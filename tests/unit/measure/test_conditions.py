"""What spoils figures, from scripted counters and readings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.measure.conditions import Conditions, ConditionsMeter, GpuReading, read_host

QUIET = Conditions(10.0, 0.0, 0.01, 0, (), 0.0)
STAT = "cpu  {user} 0 100 {idle} 50 0 0 {steal} 7 0\ncpu0 1 2 3\n"
VMSTAT = "nr_free_pages 1\npswpin {i}\npswpout {o}\n"


def gpu(clock: float = 1980, limit: float = 700, reasons: int = 0, others: int = 0) -> GpuReading:
    return GpuReading(clock, limit, reasons, others)


def proc(folder: Path, **numbers: int) -> Path:
    defaults = {"user": 0, "idle": 0, "steal": 0, "i": 0, "o": 0}
    values = {**defaults, **numbers}
    (folder / "stat").write_text(STAT.format(**values))
    (folder / "vmstat").write_text(VMSTAT.format(**values))
    return folder


def test_counters_are_read_as_the_kernel_writes_them() -> None:
    found = read_host(STAT.format(user=10, idle=30, steal=5), VMSTAT.format(i=2, o=3), 1.5)
    assert (found.total_ticks, found.idle_ticks, found.steal_ticks) == (10 + 100 + 30 + 50 + 5, 80, 5)
    assert (found.swapped_pages, found.own_cpu_seconds) == (5, 1.5)


def test_shares_are_between_start_and_stop(tmp_path: Path) -> None:
    own = iter([10.0, 14.0])
    meter = ConditionsMeter(proc=proc(tmp_path), own_cpu=lambda: next(own))
    meter.start()
    proc(tmp_path, user=700, idle=200, steal=100, i=1, o=1)
    found = meter.stop()
    assert found.steal_share == pytest.approx(0.1)
    assert found.others_share == pytest.approx((700 - 400) / 1000)
    assert found.swapped_bytes == 2 * 4096
    assert meter.stop() is found
    said = " / ".join(found.spoilers())
    for part in ("hypervisor took 10.0%", "other processes used 30.0%", "0.0 MiB were swapped"):
        assert part in said


def test_a_kernel_that_does_not_tell_gives_no_figures(tmp_path: Path) -> None:
    meter = ConditionsMeter(proc=tmp_path / "missing")
    meter.start()
    found = meter.stop()
    assert (found.steal_share, found.swapped_bytes, found.spoilers()) == (None, None, [])
    entries = {m.quantity: m for m in found.measurements()}
    assert entries["cpu_steal_share"].reason == "the kernel does not tell"
    assert entries["throttled_share"].reason == "no GPU was sampled"


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([gpu()] * 20, None),
        ([gpu(reasons=0x1)] * 20, None),
        ([gpu(reasons=0x2)] * 20, None),
        ([gpu(reasons=0x40)] * 2 + [gpu()] * 18, "hardware thermal slowdown in 10% of the samples"),
        ([gpu(reasons=0x04 | 0x08)] * 20, "power cap in 100% of the samples"),
        ([gpu(limit=700)] * 19 + [gpu(limit=400)], "the power limit was changed between 400 and 700 W"),
        ([gpu(clock=1980)] * 15 + [gpu(clock=1200)] * 5, "the SM clock moved between 1200 and 1980 MHz"),
        ([gpu()] * 19 + [gpu(others=2)], "2 other process(es) computed on this GPU"),
        ([GpuReading(None, None, None, None)] * 20, None),
    ],
)
def test_what_a_gpu_says(readings: list[GpuReading], said: str | None) -> None:
    found = Conditions(10.0, 0.0, 0.0, 0, tuple(readings), 0.0).spoilers()
    assert (said in found) if said else found == []


def test_a_quiet_machine_spoils_nothing() -> None:
    assert QUIET.spoilers() == []


def test_a_gpu_is_sampled_by_a_thread_that_costs_next_to_nothing() -> None:
    class Scripted:
        def __init__(self) -> None:
            self.count = 0

        def reading(self) -> GpuReading:
            self.count += 1
            return gpu(reasons=0x40 if self.count > 2 else 0)

    scripted = Scripted()
    meter = ConditionsMeter(gpu=scripted, interval=0.01)
    meter.start()
    time.sleep(0.2)
    found = meter.stop()
    assert 3 <= scripted.count == len(found.readings)
    assert 0 < found.sampler_cpu_seconds < 0.1
    assert "hardware thermal slowdown" in found.throttled()
    count = scripted.count
    time.sleep(0.05)
    assert scripted.count == count


def test_this_machine_tells() -> None:
    meter = ConditionsMeter()
    meter.start()
    sum(range(200_000))
    entries: dict[str, Any] = {m.quantity: m.value for m in meter.stop().measurements()}
    assert entries["swapped_bytes"] is not None
    assert entries["sampler_cpu_seconds"] == 0.0
