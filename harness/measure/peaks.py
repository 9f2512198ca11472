"""Peaks of memory by phase, and which of them a stage is charged for."""

from __future__ import annotations

from dataclasses import dataclass

from harness.measure.window import HEADLINE_PHASES, OBSERVING_PHASES


@dataclass(frozen=True)
class Peak:
    """Bytes at their peak; None where the system does not tell."""

    host: int | None = None
    allocated: int | None = None
    reserved: int | None = None

    def or_higher(self, other: Peak) -> Peak:
        """The higher of each."""
        return Peak(
            _higher(self.host, other.host),
            _higher(self.allocated, other.allocated),
            _higher(self.reserved, other.reserved),
        )

    @property
    def headline(self) -> int:
        """The accelerator's bytes where there are any, else the host's."""
        return (self.host if self.allocated is None else self.allocated) or 0


class PhasePeaks:
    """The highest peak of every phase that was booked."""

    def __init__(self) -> None:
        self._by_phase: dict[str, Peak] = {}

    def add(self, phase: str, peak: Peak) -> None:
        """Take in what was seen since the last change of phase."""
        self._by_phase[phase] = peak.or_higher(self._by_phase.get(phase, Peak()))

    def by_phase(self) -> dict[str, Peak]:
        """The highest peak of each."""
        return dict(self._by_phase)

    def charged(self) -> tuple[Peak, str] | None:
        """The stage's peak and the phase that set it; None before any work.

        A stage that trained is charged for its headline phases, another one for all of its work.
        """
        phases = [p for p in self._by_phase if p not in OBSERVING_PHASES]
        if "train" in self._by_phase:
            phases = [p for p in phases if p in HEADLINE_PHASES]
        if not phases:
            return None
        peak = Peak()
        for phase in phases:
            peak = peak.or_higher(self._by_phase[phase])
        return peak, max(phases, key=lambda phase: self._by_phase[phase].headline)


def _higher(a: int | None, b: int | None) -> int | None:
    return max((n for n in (a, b) if n is not None), default=None)
