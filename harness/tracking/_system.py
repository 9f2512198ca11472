"""What the machine does while a stage trains, as MLflow's own monitors read it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from harness.tracking import Point

EVERY_SECONDS = 30.0
SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
"""MLflow's own switch; `false` leaves the readings out."""


class SystemMetrics:
    """CPU, memory and GPUs every half a minute, told beside a stage's values in one request."""

    def __init__(self) -> None:
        self._on = os.environ.get(SWITCH, "true").lower() not in ("false", "0")
        self._monitors: list[Any] | None = None
        self._last = 0.0

    def beside(self, points: Sequence[Point]) -> list[Point]:
        """A reading for the newest of live `points`, where one is due; none for points of the past."""
        now = time.time()
        if not self._on or not points or now - self._last < EVERY_SECONDS:
            return []
        newest = max(points, key=lambda point: point.at_ms)
        if now - newest.at_ms / 1000 > EVERY_SECONDS:
            return []
        self._last = now
        return [Point(newest.step, newest.at_ms, self._read())]

    def _read(self) -> dict[str, float]:
        if self._monitors is None:
            self._monitors = _monitors()
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return values


def _monitors() -> list[Any]:
    """MLflow's monitors of what this machine has."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    found: list[Any] = [CPUMonitor()]
    try:
        found.append(GPUMonitor())
    except (ImportError, RuntimeError):
        # No NVML, or no GPU behind it: there is nothing to read.
        return found
    return found
