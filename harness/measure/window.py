"""Seconds, joules and peak bytes of named phases, synchronised with the device at both ends.

A phase holds all and only its own work. What looks at a stage from outside (fingerprints, probes,
the audit), and what chooses among its weights or keeps them (in-training evaluation, checkpoints), runs in
phases of their own that no headline contains.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.measure import device
from harness.records import PeakBytes, WindowState

ROLLOUT, ROLLOUT_REFERENCE, ROLLOUT_REWARD = "rollout", "rollout_reference", "rollout_reward"
ROLLOUT_PHASES = (ROLLOUT, ROLLOUT_REFERENCE, ROLLOUT_REWARD)
"""What a stage that learns from answers of its own does beside its updates: answer, score the answers by its
reference, and by a reward."""
HEADLINE_PHASES = ("model_load", "reference", "train", *ROLLOUT_PHASES, "save")
AUDIT, EVALUATION, CHECKPOINT, COUNTING = "audit", "evaluation", "checkpoint", "counting"
REFERENCE, REFERENCE_READ = "reference", "reference_read"
OBSERVING_PHASES = (AUDIT, EVALUATION, CHECKPOINT, REFERENCE_READ)
"""What a stage does beside its training: to be observed, to choose among its weights or to keep them, and to
read what it is charged for as if it had done it."""


class Clock(Protocol):
    """A monotonic clock that can wait for the device."""

    def now(self) -> float:
        """Seconds since some fixed moment."""

    def synchronize(self) -> None:
        """Return when the device has done all work it was given."""


class Peaks(Protocol):
    """Peak memory that can be told apart by phases."""

    def book(self, phase: str | None) -> None:
        """Take the peak since the last call as that of `phase`; None is between phases."""

    def highest(self) -> dict[str, PeakBytes]:
        """The highest peak of every phase so far."""

    def host_level(self) -> int | None:
        """What the host held before any work, from which its peaks rise."""

    def carry(self, peaks: Mapping[str, PeakBytes], host_level: int | None, where: str = "") -> None:
        """Take in what phases had reached in another process, whose host rose from `host_level`."""


class SystemClock:
    """`perf_counter`, and the accelerator's synchronisation where torch is loaded and has one."""

    def now(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        device.synchronize()


@dataclass(frozen=True)
class Charged:
    """Where a phase was measured that did not run here, and what spoilt the figures there."""

    where: str
    notes: tuple[str, ...] = ()


class Window:
    """Exclusive figures of each phase: what a nested phase takes counts for the nested one alone.

    `energy` reads a counter of joules, or gives None where there is none; `peaks` is told of every
    change of phase, and `tell` of the phase that begins, None where none does, both off every clock.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        energy: Callable[[], float | None] | None = None,
        peaks: Peaks | None = None,
        tell: Callable[[str | None], None] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._peaks = peaks
        self._tell = tell
        self._energy = energy or (lambda: None)
        self._open: list[str] = []
        self._since = 0.0
        self._joules_at: float | None = None
        self.seconds: dict[str, float] = {}
        self.joules: dict[str, float] = {}
        self.charged: dict[str, Charged] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the body as `name`; the enclosing phase pauses meanwhile."""
        around = self.current
        self._switch(name)
        self._open.append(name)
        try:
            yield
        finally:
            self._switch(around)
            self._open.pop()

    def state(self, phases: Collection[str]) -> WindowState:
        """What `phases` have taken, without what the open phase has since its last switch."""
        peaks = {} if self._peaks is None else self._peaks.highest()
        return WindowState(
            seconds={phase: s for phase, s in self.seconds.items() if phase in phases},
            joules={phase: j for phase, j in self.joules.items() if phase in phases},
            peaks={phase: peak for phase, peak in peaks.items() if phase in phases},
            host_level=None if self._peaks is None else self._peaks.host_level(),
        )

    def carry(self, state: WindowState) -> None:
        """Add what the same phases took in a process before this one."""
        self._add(state)

    def charge(self, state: WindowState, source: Charged) -> None:
        """Book phases whose work another stage did as if it had been done here."""
        self._add(state, f", measured in {source.where}")
        self.charged |= dict.fromkeys(state.seconds, source)

    def _add(self, state: WindowState, where: str = "") -> None:
        for phase, seconds in state.seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        for phase, joules in state.joules.items():
            self.joules[phase] = self.joules.get(phase, 0.0) + joules
        if self._peaks is not None:
            self._peaks.carry(state.peaks, state.host_level, where)

    def headline(self) -> float:
        """Seconds from model load to the final checkpoint, without data and evaluation."""
        return sum(self.seconds.get(phase, 0.0) for phase in HEADLINE_PHASES)

    @property
    def current(self) -> str | None:
        """The innermost open phase."""
        return self._open[-1] if self._open else None

    def so_far(self) -> float:
        """Headline seconds up to now, those of an open headline phase included.

        Waits for no device: a caller that wants exact seconds has just read a result.
        """
        running = self._clock.now() - self._since if self.current in HEADLINE_PHASES else 0.0
        return self.headline() + running

    def joules_so_far(self) -> float | None:
        """Headline joules up to now, or None where energy is not measured."""
        now = self._energy()
        if now is None or self._joules_at is None:
            return None
        running = now - self._joules_at if self.current in HEADLINE_PHASES else 0.0
        return sum(self.joules.get(phase, 0.0) for phase in HEADLINE_PHASES) + running

    def _switch(self, to: str | None) -> None:
        """Book what was taken since the last switch to the phase that was open; `to` is open next.

        The booking itself is on nobody's clock.
        """
        self._clock.synchronize()
        now, joules = self._clock.now(), self._energy()
        current = self.current
        if current is not None:
            self.seconds[current] = self.seconds.get(current, 0.0) + now - self._since
            if joules is not None and self._joules_at is not None:
                self.joules[current] = self.joules.get(current, 0.0) + joules - self._joules_at
        if self._peaks is not None:
            self._peaks.book(current)
        if self._tell is not None:
            self._tell(to)
        if self._peaks is not None or self._tell is not None:
            now, joules = self._clock.now(), self._energy()
        self._since, self._joules_at = now, joules
