"""Joules from the GPU's own counter; absent, with the reason, where there is none.

The counter is the whole GPU's and runs from after start-up to the end of the stage's work, so
in-training evaluation is in it, which the headline seconds leave out.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.measure.nvml import open_nvml
from harness.measure.window import Clock, SystemClock
from harness.records import Measurement

Counter = Callable[[], float]


class EnergyMeter:
    """The counter's difference between `start()` and `stop()`, synchronised at both ends."""

    def __init__(self, *, device: str, counter: Counter | None = None, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._counter = counter
        self._reason: str | None = None
        self._started: float | None = None
        self._joules: float | None = None
        if counter is None:
            nvml, why = open_nvml() if device == "cuda" else (None, "no CUDA device")
            self._counter = nvml.energy_joules if nvml else None
            self._reason = why

    def start(self) -> None:
        """Read the counter."""
        self._started = self._read()

    def stop(self) -> None:
        """Read it again, once: the first call after `start()` counts."""
        if self._joules is not None or self._started is None:
            return
        ended = self._read()
        self._joules = None if ended is None else ended - self._started

    def measurements(self) -> list[Measurement]:
        """One entry, `energy_joules`."""
        reason = None if self._joules is not None else self._reason or "the counter was not read"
        return [
            Measurement(
                quantity="energy_joules",
                value=self._joules,
                unit="J",
                scope="stage",
                source="NVML total energy of the GPU, evaluation in training included",
                reason=reason,
            )
        ]

    def _read(self) -> float | None:
        if self._counter is None:
            return None
        self._clock.synchronize()
        try:
            return self._counter()
        except Exception as error:
            self._reason = f"the energy counter cannot be read: {error}"
            return None
