"""What may have spoilt a stage's time and energy: other work, stolen CPU, swapping, throttling.

The host's counters are cumulative, so they are read at both ends alone. A GPU's clocks, limits
and neighbours are sampled by a thread that sleeps between readings.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.records import Measurement, Unit

# Beyond these shares a figure is said to be spoilt. Timing on a quiet machine repeats within a few
# percent, so smaller disturbances cannot be told from chance.
STEAL, OTHERS, THROTTLED, CLOCK_SPREAD = 0.02, 0.10, 0.05, 0.10
# nvml.h: idling and clocks that the user set are no throttling.
THROTTLE_REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


@dataclass(frozen=True)
class GpuReading:
    """One look at a GPU; what it does not tell is None."""

    sm_clock_mhz: float | None
    power_limit_watts: float | None
    throttle_reasons: int | None
    other_processes: int | None


class Gpu(Protocol):
    """Where readings come from."""

    def reading(self) -> GpuReading:
        """The GPU now."""


@dataclass(frozen=True)
class HostCounters:
    """Cumulative ticks and pages of the host, and this process's own CPU seconds."""

    total_ticks: int
    idle_ticks: int
    steal_ticks: int
    swapped_pages: int
    own_cpu_seconds: float


@dataclass(frozen=True)
class Conditions:
    """Between start and stop. Shares are 0 to 1 of all cores' time, or of the samples."""

    seconds: float
    steal_share: float | None
    others_share: float | None
    swapped_bytes: int | None
    readings: tuple[GpuReading, ...]
    sampler_cpu_seconds: float

    def throttled(self) -> dict[str, float]:
        """Reason -> share of the samples that gave it."""
        given = [r.throttle_reasons for r in self.readings if r.throttle_reasons is not None]
        counts = {name: sum(bool(g & bit) for g in given) for bit, name in THROTTLE_REASONS.items()}
        return {name: count / len(given) for name, count in counts.items() if count}

    def spoilers(self) -> list[str]:
        """Sentences that say what spoils the stage's seconds and joules; none on a quiet machine."""
        sentences = []
        if self.steal_share is not None and self.steal_share > STEAL:
            sentences.append(f"the hypervisor took {self.steal_share:.1%} of the CPU time")
        if self.others_share is not None and self.others_share > OTHERS:
            sentences.append(f"other processes used {self.others_share:.1%} of the CPU time")
        if self.swapped_bytes:
            sentences.append(f"{self.swapped_bytes / 2**20:.1f} MiB were swapped")
        sentences += [f"{r} in {s:.0%} of the samples" for r, s in self.throttled().items() if s > THROTTLED]
        return sentences + self._clock() + self._limit() + self._neighbours()

    def measurements(self) -> list[Measurement]:
        """The ledger's entries."""
        throttled = max(self.throttled().values(), default=0.0) if self.readings else None
        return [
            _entry("cpu_steal_share", self.steal_share, "1", "/proc/stat"),
            _entry("other_cpu_share", self.others_share, "1", "/proc/stat less this process"),
            _entry("swapped_bytes", self.swapped_bytes, "B", "/proc/vmstat"),
            _entry("throttled_share", throttled, "1", "NVML, samples of the worst reason"),
            _entry("sampler_cpu_seconds", self.sampler_cpu_seconds, "s", "thread time"),
        ]

    def _clock(self) -> list[str]:
        clocks = sorted(r.sm_clock_mhz for r in self.readings if r.sm_clock_mhz is not None)
        if len(clocks) < 10:
            return []
        low, high = clocks[len(clocks) // 10], clocks[-1 - len(clocks) // 10]
        if high - low <= CLOCK_SPREAD * statistics.median(clocks):
            return []
        return [f"the SM clock moved between {low:.0f} and {high:.0f} MHz"]

    def _limit(self) -> list[str]:
        limits = sorted({r.power_limit_watts for r in self.readings if r.power_limit_watts is not None})
        if len(limits) < 2:
            return []
        return [f"the power limit was changed between {limits[0]:.0f} and {limits[-1]:.0f} W"]

    def _neighbours(self) -> list[str]:
        most = max((r.other_processes or 0 for r in self.readings), default=0)
        return [f"{most} other process(es) computed on this GPU"] if most else []


class ConditionsMeter:
    """Reads the host at both ends, and the GPU, if there is one, every `interval` seconds."""

    def __init__(
        self,
        *,
        gpu: Gpu | None = None,
        proc: Path = Path("/proc"),
        interval: float = 1.0,
        own_cpu: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._gpu, self._proc, self._interval, self._clock = gpu, proc, interval, clock
        self._own_cpu = own_cpu or _own_cpu_seconds
        self._readings: list[GpuReading] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._cpu_seconds = 0.0
        self._found: Conditions | None = None

    def start(self) -> None:
        """Begin; a GPU gets its thread."""
        self._began, self._before = self._clock(), self._host()
        if self._gpu is not None:
            self._thread = threading.Thread(target=self._sample, name="conditions", daemon=True)
            self._thread.start()

    def stop(self) -> Conditions:
        """What there was; the first call counts."""
        if self._found is None:
            self._stop.set()
            if self._thread is not None:
                self._thread.join()
            self._found = self._conclude(self._host())
        return self._found

    def _sample(self) -> None:
        assert self._gpu is not None
        while True:
            self._readings.append(self._gpu.reading())
            self._cpu_seconds = time.thread_time()
            if self._stop.wait(self._interval):
                return

    def _host(self) -> HostCounters | None:
        try:
            return read_host(
                (self._proc / "stat").read_text(), (self._proc / "vmstat").read_text(), self._own_cpu()
            )
        except (OSError, ValueError, IndexError):
            return None

    def _conclude(self, after: HostCounters | None) -> Conditions:
        before, seconds = self._before, self._clock() - self._began
        steal = others = swapped = None
        if before is not None and after is not None:
            total = after.total_ticks - before.total_ticks
            swapped = (after.swapped_pages - before.swapped_pages) * os.sysconf("SC_PAGE_SIZE")
            if total > 0:
                steal = (after.steal_ticks - before.steal_ticks) / total
                busy = (
                    total - (after.idle_ticks - before.idle_ticks) - (after.steal_ticks - before.steal_ticks)
                )
                own_ticks = (after.own_cpu_seconds - before.own_cpu_seconds) * os.sysconf("SC_CLK_TCK")
                others = max(0.0, (busy - own_ticks) / total)
        return Conditions(seconds, steal, others, swapped, tuple(self._readings), self._cpu_seconds)


def read_host(stat: str, vmstat: str, own_cpu_seconds: float) -> HostCounters:
    """Counters from the texts of /proc/stat (proc(5): user nice system idle iowait irq softirq
    steal ...; guest time is in user already) and /proc/vmstat."""
    ticks = [int(n) for n in stat.splitlines()[0].split()[1:9]]
    pages = dict(line.split()[:2] for line in vmstat.splitlines() if line.startswith("pswp"))
    return HostCounters(
        total_ticks=sum(ticks),
        idle_ticks=ticks[3] + ticks[4],
        steal_ticks=ticks[7],
        swapped_pages=sum(int(count) for count in pages.values()),
        own_cpu_seconds=own_cpu_seconds,
    )


def cpu_seconds_of(pids: Iterable[int], proc: Path = Path("/proc")) -> float:
    """What several processes of one stage have used; those that are gone have used nothing more."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # proc(5): utime, stime and those of children waited for, counted from the state on.
            ticks += sum(map(int, (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _entry(quantity: str, value: float | None, unit: Unit, source: str) -> Measurement:
    why = "no GPU was sampled" if quantity == "throttled_share" else "the kernel does not tell"
    return Measurement(
        quantity=quantity,
        value=value,
        unit=unit,
        scope="stage",
        source=source,
        reason=why if value is None else None,
    )
