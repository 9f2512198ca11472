"""NVIDIA's management library, where it is: one place that asks it."""

from __future__ import annotations

import os
from typing import Any


class Nvml:
    """Readings of one GPU. Raises RuntimeError at once where NVML or the GPU is missing."""

    def __init__(self, index: int | None = None) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise RuntimeError("the package nvidia-ml-py is not installed") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"
            if visible.startswith("GPU-"):
                self._gpu = pynvml.nvmlDeviceGetHandleByUUID(visible)
            else:
                self._gpu = pynvml.nvmlDeviceGetHandleByIndex(int(visible) if index is None else index)
        except (pynvml.NVMLError, ValueError) as error:
            raise RuntimeError(f"NVML: {error}") from error

    def energy_joules(self) -> float:
        """The GPU's energy counter since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1000

    def facts(self) -> dict[str, Any]:
        """What names and conditions the GPU; a reading it refuses is None."""
        nvml, gpu = self._nvml, self._gpu
        readings = {
            "name": lambda: nvml.nvmlDeviceGetName(gpu),
            "uuid": lambda: nvml.nvmlDeviceGetUUID(gpu),
            "driver": nvml.nvmlSystemGetDriverVersion,
            "memory_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
            "power_limit_watts": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000,
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
            "compute_processes": lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
        }
        facts: dict[str, Any] = {}
        for name, read in readings.items():
            try:
                value = read()
            except nvml.NVMLError:
                value = None
            facts[name] = value.decode() if isinstance(value, bytes) else value
        return facts


def open_nvml() -> tuple[Nvml | None, str | None]:
    """NVML and None, or None and the reason of its absence."""
    try:
        return Nvml(), None
    except RuntimeError as error:
        return None, str(error)
