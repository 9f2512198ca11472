"""Money of an API judge: reserved at its worst before a request, settled at what it took."""

from __future__ import annotations

import threading
from dataclasses import dataclass

PER_MILLION = 1_000_000.0


class CapReachedError(Exception):
    """The next request's worst case would pass the cap."""


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens, as the user states it."""

    input_per_million: float
    output_per_million: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """Money of one request."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / PER_MILLION


class Purse:
    """Counts money across threads; without prices it counts nothing and caps nothing."""

    def __init__(self, prices: Prices | None, cap: float | None) -> None:
        self._prices, self._cap = prices, cap
        self._lock = threading.Lock()
        self._reserved = 0.0
        self.spent = 0.0
        self.uncertain = 0.0

    @property
    def has_prices(self) -> bool:
        """Whether money is counted at all."""
        return self._prices is not None

    def worst(self, input_bytes: int, max_output: int) -> float:
        """What a request can cost at most: a token is a byte of text or more."""
        return self._prices.of(input_bytes, max_output) if self._prices else 0.0

    def reserve(self, worst: float) -> None:
        """Set `worst` aside; raises CapReachedError where that would pass the cap."""
        with self._lock:
            taken = self.spent + self.uncertain + self._reserved
            if self._cap is not None and self._prices is not None and taken + worst > self._cap:
                raise CapReachedError
            self._reserved += worst

    def settle(self, worst: float, input_tokens: int, output_tokens: int) -> float:
        """Replace a reservation by what the server says it took; returns that."""
        real = self._prices.of(input_tokens, output_tokens) if self._prices else 0.0
        with self._lock:
            self._reserved -= worst
            self.spent += real
        return real

    def release(self, worst: float, *, maybe_charged: bool) -> None:
        """Give a reservation back; of a request that broke off, count its worst as spent."""
        with self._lock:
            self._reserved -= worst
            self.uncertain += worst if maybe_charged else 0.0
