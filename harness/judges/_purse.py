"""Money of an API judge: reserved at its worst before a request, settled at what it took.

A cap holds for a command, which scores cells in processes of their own: what is taken stands in a file
that they share. A request that broke off, or whose process died, stays taken at its worst.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.judges import COMMAND

PER_MILLION = 1_000_000.0


class Ledger:
    """What is spent and reserved together; with a file, by every process that has it open."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._lock, self._own = file, threading.Lock(), 0.0

    def taken(self) -> float:
        """Money that is gone or set aside."""
        return self._changed(lambda taken: taken)

    def take(self, amount: float, limit: float) -> bool:
        """Set `amount` aside; False, and nothing is, where that would pass `limit`."""
        before: list[float] = []

        def after(taken: float) -> float:
            before.append(taken)
            return taken if taken + amount > limit else taken + amount

        self._changed(after)
        return before[0] + amount <= limit

    def correct(self, by: float) -> None:
        """Add what a request took more than was set aside for it; less is negative."""
        self._changed(lambda taken: taken + by)

    def _changed(self, change: Callable[[float], float]) -> float:
        """The amount after `change`, which no other thread or process can come between."""
        with self._lock:
            if self._file is None:
                self._own = change(self._own)
                return self._own
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a+", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                taken = change(float(file.read() or 0.0))
                file.truncate(0)
                file.write(repr(taken))
                return taken


def ledger_of(cache: Path | None, judge: str) -> Ledger:
    """The ledger that all of a command have for one judge; of one process where nothing is kept."""
    if cache is None:
        return Ledger(None)
    name = hashlib.sha256(judge.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Ledger(cache / "purses" / f"{os.environ.get(COMMAND) or _this_process()}-{name}")


@functools.cache
def _this_process() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Cap:
    """`limit` is what `name` may take from its ledger."""

    limit: float
    ledger: Ledger
    name: str


class CapReachedError(Exception):
    """The next request's worst case would pass the cap."""

    def __init__(self, cap: Cap) -> None:
        super().__init__(cap.name)
        self.cap = cap


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens, as the user states it."""

    input_per_million: float
    output_per_million: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """Money of one request."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / PER_MILLION


class Purse:
    """Counts this process's money across threads and keeps to its caps; without prices it does neither."""

    def __init__(self, prices: Prices | None) -> None:
        self._prices = prices
        self._caps: list[Cap] = []
        self._lock = threading.Lock()
        self.spent = 0.0
        self.uncertain = 0.0

    @property
    def has_prices(self) -> bool:
        """Whether money is counted at all."""
        return self._prices is not None

    def add_cap(self, cap: Cap) -> None:
        """One more cap to keep to: a jury's beside the judge's own."""
        self._caps.append(cap)

    def worst(self, input_bytes: int, max_output: int) -> float:
        """What a request can cost at most: a token is a byte of text or more."""
        return self._prices.of(input_bytes, max_output) if self._prices else 0.0

    def reserve(self, worst: float) -> None:
        """Set `worst` aside; raises CapReachedError where that would pass a cap."""
        for number, cap in enumerate(self._caps):
            if not cap.ledger.take(worst, cap.limit):
                for earlier in self._caps[:number]:
                    earlier.ledger.correct(-worst)
                raise CapReachedError(cap)

    def settle(self, worst: float, input_tokens: int, output_tokens: int) -> float:
        """Replace a reservation by what the server says it took; returns that."""
        real = self._prices.of(input_tokens, output_tokens) if self._prices else 0.0
        for cap in self._caps:
            cap.ledger.correct(real - worst)
        with self._lock:
            self.spent += real
        return real

    def release(self, worst: float, *, maybe_charged: bool) -> None:
        """Give a reservation back; of a request that broke off, count its worst as spent."""
        for cap in [] if maybe_charged else self._caps:
            cap.ledger.correct(-worst)
        with self._lock:
            self.uncertain += worst if maybe_charged else 0.0
