"""NVIDIA's management library, where it is: one place that asks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.measure import device
from harness.measure.conditions import GpuReading

UUID_PREFIXES = ("GPU-", "MIG-")


class Nvml:
    """Readings of one GPU, by default the one that CUDA calls 0. Raises RuntimeError at once where NVML or
    the GPU is missing."""

    def __init__(self, *, library: Any = None, gpu: str | None = None) -> None:
        self._nvml = library or _pynvml()
        try:
            self._nvml.nvmlInit()
            self._gpu = _handle(self._nvml, gpu or chosen_gpu())
        except (self._nvml.NVMLError, ValueError) as error:
            raise RuntimeError(f"NVML: {error}") from error

    def energy_joules(self) -> float:
        """The GPU's energy counter since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1000

    def process_bytes(self) -> int | None:
        """Device memory of this process, CUDA's context included; None where it is not told.

        A container's process ids may differ from those that the driver knows.
        """
        running = self._ask(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu)) or []
        used = (p.usedGpuMemory for p in running if p.pid == os.getpid())
        return next((int(n) for n in used if n is not None), None)

    def device_bytes(self) -> int | None:
        """Device memory in use by all processes."""
        memory = self._ask(lambda: self._nvml.nvmlDeviceGetMemoryInfo(self._gpu))
        return None if memory is None else int(memory.used)

    def reading(self) -> GpuReading:
        """Clock, limit, throttling and neighbours now."""
        nvml, gpu = self._nvml, self._gpu
        running = self._ask(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(gpu))
        power = self._ask(lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu))
        return GpuReading(
            sm_clock_mhz=self._ask(lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
            power_limit_watts=None if power is None else power / 1000,
            throttle_reasons=self._ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)),
            other_processes=None if running is None else _others(running),
        )

    def neighbours(self) -> list[int]:
        """Processes that compute on the GPU now, but this one."""
        running = self._ask(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu)) or []
        return [int(p.pid) for p in running if p.pid != os.getpid()]

    def facts(self) -> dict[str, Any]:
        """What names and conditions the GPU; a reading it refuses is None."""
        nvml, gpu = self._nvml, self._gpu
        readings: dict[str, Callable[[], Any]] = {
            "name": lambda: nvml.nvmlDeviceGetName(gpu),
            "uuid": lambda: nvml.nvmlDeviceGetUUID(gpu),
            "driver": nvml.nvmlSystemGetDriverVersion,
            "memory_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
            "power_limit_watts": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000,
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "sm_clock_limit_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
            "compute_processes": lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
        }
        return {name: self._ask(read) for name, read in readings.items()}

    def _ask(self, read: Callable[[], Any]) -> Any:
        return _answer(self._nvml, read)


def _others(running: Any) -> int:
    """Compute processes that are not this one, which a container may know by another number."""
    mine = any(p.pid == os.getpid() for p in running)
    return max(0, len(running) - 1) if mine or running else 0


def open_nvml() -> tuple[Nvml | None, str | None]:
    """NVML and None, or None and the reason of its absence."""
    try:
        return Nvml(), None
    except RuntimeError as error:
        return None, str(error)


def chosen_gpu() -> str:
    """The UUID or index of the GPU that CUDA calls 0.

    CUDA may number GPUs by speed and NVML numbers them by slot, so torch's UUID is asked where
    torch already runs on a GPU and the variable gives a number.
    """
    first = (device.visible_entries("CUDA_VISIBLE_DEVICES") or ["0"])[0]
    if not first.startswith(UUID_PREFIXES) and device.is_in_use():
        return device.uuid() or first
    return first


@dataclass(frozen=True)
class ListedGpu:
    """A GPU in its slot, or a slice of it."""

    index: int
    name: str | None
    uuid: str | None
    memory_bytes: int | None


def list_gpus(library: Any = None) -> list[ListedGpu]:
    """Every GPU by slot, MIG slices in the place of one that is cut; raises RuntimeError without NVML."""
    nvml = library or _pynvml()
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
        return [
            ListedGpu(
                index,
                _answer(nvml, nvml.nvmlDeviceGetName, part),
                _answer(nvml, nvml.nvmlDeviceGetUUID, part),
                _answer(nvml, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total, part),
            )
            for index in range(count)
            for part in _parts(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
        ]
    except nvml.NVMLError as error:
        raise RuntimeError(f"NVML: {error}") from error


def _parts(nvml: Any, gpu: Any) -> Iterator[Any]:
    """The handles of a GPU's slices, or its own where MIG is off or unknown to it."""
    mode = _answer(nvml, nvml.nvmlDeviceGetMigMode, gpu)
    if not mode or not mode[0]:
        yield gpu
        return
    for place in range(_answer(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        part = _answer(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, place)
        if part is not None:
            yield part


def _answer(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """A reading, or None where the GPU refuses it."""
    try:
        value = ask(*arguments)
    except nvml.NVMLError:
        return None
    return value.decode() if isinstance(value, bytes) else value


def _handle(library: Any, gpu: str) -> Any:
    if gpu.startswith(UUID_PREFIXES):
        return library.nvmlDeviceGetHandleByUUID(gpu)
    return library.nvmlDeviceGetHandleByIndex(int(gpu))


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise RuntimeError("the package nvidia-ml-py is not installed") from error
    return pynvml
