"""Joules from the GPU's own counter; absent, with the reason, where there is none.

The counter is the whole GPU's. A training stage's figure is that of the headline's phases, so that
joules and seconds speak of the same work; other stages' is that of the whole stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        self._started = self.read()

    def stop(self) -> None:
        """Read it again, once: the first call after `start()` counts."""
        if self._joules is not None or self._started is None:
            return
        ended = self.read()
        self._joules = None if ended is None else ended - self._started

    def measurements(self, phases: Mapping[str, float] | None = None) -> list[Measurement]:
        """`energy_joules`: the sum over `phases`, or of all between start and stop.

        A reference pass before training, where there was one, is `reference_joules` too.
        """
        value, source = self._joules, "NVML total energy of the GPU"
        if phases is not None:
            value = sum(phases.values()) if phases and value is not None else None
            source += ": " + " + ".join(phases)
        entries = [self._entry("energy_joules", value, source)]
        if phases and "reference" in phases and value is not None:
            entries.append(
                self._entry("reference_joules", phases["reference"], "NVML total energy of the GPU")
            )
        return entries

    def _entry(self, quantity: str, value: float | None, source: str) -> Measurement:
        reason = None if value is not None else self._reason or "the counter was not read"
        return Measurement(
            quantity=quantity, value=value, unit="J", scope="stage", source=source, reason=reason
        )

    def read(self) -> float | None:
        """The counter now; None where there is none, with the reason kept."""
        if self._counter is None:
            return None
        self._clock.synchronize()
        try:
            return self._counter()
        except Exception as error:
            self._reason = f"the energy counter cannot be read: {error}"
            return None
