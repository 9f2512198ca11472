"""Seconds of named phases, synchronised with the device at both ends."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

HEADLINE_PHASES = ("model_load", "reference", "train", "save")


class Clock(Protocol):
    """A monotonic clock that can wait for the device."""

    def now(self) -> float:
        """Seconds since some fixed moment."""

    def synchronize(self) -> None:
        """Return when the device has done all work it was given."""


class SystemClock:
    """`perf_counter`, and CUDA's synchronisation where torch is loaded and has a GPU."""

    def now(self) -> float:
        return time.perf_counter()

    def synchronize(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()


class Window:
    """Exclusive seconds of each phase: time in a nested phase counts for the nested one alone."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._open: list[str] = []
        self._since = 0.0
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the body as `name`; the enclosing phase pauses meanwhile."""
        self._switch()
        self._open.append(name)
        try:
            yield
        finally:
            self._switch()
            self._open.pop()

    def headline(self) -> float:
        """Seconds from model load to the final checkpoint, without data and evaluation."""
        return sum(self.seconds.get(phase, 0.0) for phase in HEADLINE_PHASES)

    def _switch(self) -> None:
        """Book the time since the last switch to the phase that was open."""
        self._clock.synchronize()
        now = self._clock.now()
        if self._open:
            current = self._open[-1]
            self.seconds[current] = self.seconds.get(current, 0.0) + now - self._since
        self._since = now
