"""Peak memory: what CUDA's allocator handed out, or the host's VmHWM on a CPU.

`ru_maxrss` is not used: it inherits the parent's peak. On a CPU most of the peak is imports, so
the growth above the level after imports is reported beside it. Peaks are kept by phase, since
neither counter can be paused: a training stage's peak is that of its headline phases.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from harness.measure.device import Allocator
from harness.measure.nvml import open_nvml
from harness.measure.peaks import Peak, PhasePeaks
from harness.measure.window import OBSERVING_PHASES
from harness.records import HAS_VRAM, Measurement, PeakBytes, Unit

NO_GPU = "no CUDA device"
ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


def read_high_water_mark(status: str) -> int | None:
    """VmHWM in bytes from the text of `/proc/self/status`, or None."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


class HostMemory:
    """The process's resident high-water mark, which the kernel can set back."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc

    def reset(self) -> str | None:
        """Set the mark to the present level; returns why not, or None."""
        try:
            (self._proc / "clear_refs").write_text("5")
        except OSError as error:
            return f"the high-water mark cannot be reset: {error.strerror}"
        return None

    def peak(self) -> int | None:
        """Bytes, or None where the kernel does not tell."""
        try:
            return read_high_water_mark((self._proc / "status").read_text())
        except OSError:
            return None

    def release(self) -> None:
        """Give freed heap back to the system, so that it is not taken for the next phase's."""
        with contextlib.suppress(OSError, AttributeError):  # A libc without malloc_trim keeps it.
            ctypes.CDLL(None).malloc_trim(0)


class CudaMemory(Protocol):
    """What CUDA's caching allocator reports of the current device."""

    def reset_peaks(self) -> None:
        """Set both peaks to the present level."""

    def peak_allocated(self) -> int:
        """Bytes of tensors at their peak."""

    def peak_reserved(self) -> int:
        """Bytes taken from the device at their peak."""

    def release(self) -> None:
        """Give cached blocks back to the device."""

    def retries(self) -> int:
        """Allocations of this process that had to empty the cache first."""

    def ooms(self) -> int:
        """Allocations of this process that failed."""


class DeviceMemory(Protocol):
    """What the driver reports of the whole GPU, now."""

    def process_bytes(self) -> int | None:
        """This process's bytes, context included; None where the driver does not tell."""

    def device_bytes(self) -> int | None:
        """Bytes in use by all processes; None where the driver does not tell."""


class MemoryMeter:
    """Peak memory from `start()` to `freeze()`, or to `measurements()` if nobody froze it."""

    def __init__(
        self,
        *,
        device: str,
        host: HostMemory | None = None,
        cuda: CudaMemory | None = None,
        driver: DeviceMemory | None = None,
    ) -> None:
        self._host = host or HostMemory()
        self._cuda = (cuda or Allocator()) if device in HAS_VRAM else None
        self._driver, self._no_driver = driver, NO_GPU
        if self._cuda is not None and driver is None:
            nvml, why = open_nvml()
            self._driver, self._no_driver = nvml, why or ""
        self._no_reset: str | None = None
        self._after_imports: int | None = None
        self._events_before = (0, 0)
        self._peaks = PhasePeaks()
        self._elsewhere: dict[str, str] = {}
        self._frozen: list[Measurement] | None = None

    def start(self) -> None:
        """Forget what imports took."""
        self._no_reset = self._host.reset()
        self._after_imports = self._host.peak()
        if self._cuda is not None:
            self._cuda.reset_peaks()
            self._events_before = (self._cuda.retries(), self._cuda.ooms())

    def book(self, phase: str | None) -> None:
        """Take the peak since the last call as that of `phase`; None is between phases.

        What an observing phase leaves in caches is given back, since it would be counted as the
        next phase's.
        """
        if phase is not None:
            self._peaks.add(phase, self._now())
        if phase in OBSERVING_PHASES:
            self._host.release()
            if self._cuda is not None:
                self._cuda.release()
        self._host.reset()
        if self._cuda is not None:
            self._cuda.reset_peaks()

    def highest(self) -> dict[str, PeakBytes]:
        """The highest peak of every phase so far."""
        return {p: (one.host, one.allocated, one.reserved) for p, one in self._peaks.by_phase().items()}

    def host_level(self) -> int | None:
        """What the host held after imports; None where that cannot be told."""
        return None if self._no_reset is not None else self._after_imports

    def carry(self, peaks: Mapping[str, PeakBytes], host_level: int | None, where: str = "") -> None:
        """Take in what phases had reached in another process: above its own imports, which may be others."""
        level = self.host_level()
        higher = level - host_level if level is not None and host_level is not None else 0
        for phase, (host, *of_device) in peaks.items():
            self._peaks.add(phase, Peak(None if host is None else host + higher, *of_device))
            self._elsewhere[phase] = where

    def lately(self) -> int | None:
        """Peak bytes since the last change of phase: the accelerator's where there is one."""
        return self._now().headline or None

    def freeze(self) -> None:
        """Keep the figures of this moment: what runs after is not part of the stage's cost."""
        self._frozen = self._read()

    def measurements(self) -> list[Measurement]:
        """The ledger's memory entries; `peak_memory_bytes` is the headline."""
        return self._frozen if self._frozen is not None else self._read()

    def _now(self) -> Peak:
        if self._cuda is None:
            return Peak(self._host.peak())
        return Peak(self._host.peak(), self._cuda.peak_allocated(), self._cuda.peak_reserved())

    def _read(self) -> list[Measurement]:
        peak, highest = self._peaks.charged() or (self._now(), "no phase of its own")
        where = f"highest in {highest}{self._elsewhere.get(highest, '')}"
        if self._cuda is not None:
            of_device = [*self._of_cuda(self._cuda, peak, where), *self._of_driver()]
            return [*of_device, *self._of_host(peak, where)]
        unreadable = "the kernel does not report VmHWM"
        return [
            _measured("peak_memory_bytes", peak.host, f"host memory: VmHWM, {where}", unreadable),
            _measured("peak_allocated_bytes", None, "torch's allocator", NO_GPU),
            _measured("peak_reserved_bytes", None, "torch's allocator", NO_GPU),
            *self._of_host(peak, where),
        ]

    def _of_host(self, peak: Peak, where: str) -> list[Measurement]:
        unreadable = "the kernel does not report VmHWM"
        known = peak.host is not None and self._after_imports is not None and self._no_reset is None
        growth = peak.host - self._after_imports if known else None  # type: ignore[operator]
        above = f"VmHWM above its value after imports, {where}"
        return [
            _measured("host_peak_rss_bytes", peak.host, f"VmHWM, {where}", unreadable),
            _measured("host_growth_bytes", growth, above, self._no_reset or unreadable),
        ]

    def _of_cuda(self, cuda: CudaMemory, peak: Peak, where: str) -> list[Measurement]:
        settings = f"torch's allocator, {where}; allocator settings: {allocator_settings()}"
        retries, ooms = cuda.retries() - self._events_before[0], cuda.ooms() - self._events_before[1]
        return [
            _measured("peak_memory_bytes", peak.allocated, f"peak of allocated bytes, {where}"),
            _measured("peak_allocated_bytes", peak.allocated, settings),
            _measured("peak_reserved_bytes", peak.reserved, settings),
            _measured("alloc_retries", retries, "torch's allocator", unit="1"),
            _measured("ooms", ooms, "torch's allocator", unit="1"),
        ]

    def _of_driver(self) -> list[Measurement]:
        """The driver keeps no peaks: these are readings at the end of the stage's work."""
        driver = self._driver
        readers: dict[str, Callable[[], int | None]] = (
            {}
            if driver is None
            else {"nvml_process_bytes": driver.process_bytes, "nvml_device_bytes": driver.device_bytes}
        )
        reason = self._no_driver if driver is None else "the driver does not tell"
        return [
            _measured(name, readers[name]() if readers else None, "NVML at the end, not a peak", reason)
            for name in ("nvml_process_bytes", "nvml_device_bytes")
        ]


def allocator_settings() -> str:
    """What the environment tells torch's allocator, or `defaults`."""
    return next((os.environ[v] for v in ALLOCATOR_VARIABLES if os.environ.get(v)), "defaults")


def _measured(
    quantity: str, value: int | None, source: str, reason: str | None = None, *, unit: Unit = "B"
) -> Measurement:
    return Measurement(
        quantity=quantity,
        value=value,
        unit=unit,
        scope="stage",
        source=source,
        reason=reason if value is None else None,
    )
