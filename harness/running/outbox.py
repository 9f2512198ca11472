"""What one tracker is told, on a thread of its own: queued, sent in bursts, tried again when it fails.

While a stage trains a burst is followed by a pause that holds the thread's CPU time below `SHARE` of the
clock. Steps that come faster than that are thinned out, and the rest is sent between stages.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from harness.tracking import Point, Tracker

SHARE = 0.0015
LEAST_PAUSE = 1.0
MOST_POINTS = 20
"""Of one run in a burst while a stage trains."""
MOST_WAITING = 50_000
"""Points that wait for a tracker that does not answer; beyond it is given up."""
MOST_TRIES = 5
FIRST_RETRY_SECONDS = 5.0

Call = Callable[[Tracker], object]


@dataclass(frozen=True)
class Logged:
    """One point of the run `key`."""

    key: str
    point: Point


Item = Call | Logged


class Outbox:
    """Tells one tracker; nothing that it is asked to do waits for the tracker but `settle` and `close`.

    `warn` is called once, when the tracker fails first. `failures` counts them all; `error` is what the
    tracker was given up for, or None.
    """

    def __init__(self, name: str, opened: Callable[[], Tracker], warn: Callable[[str], None]) -> None:
        self.name = name
        self.error: Exception | None = None
        self.failures = 0
        self.cpu_seconds = 0.0
        self._opened, self._warn = opened, warn
        self._tracker: Tracker | None = None
        self._queue: deque[Item] = deque()
        self._held: list[Logged] = []
        self._changed = threading.Condition()
        self._hurried = self._closing = self._busy = False
        self._in_a_row, self._next = 0, 0.0
        self._thread = threading.Thread(target=self._loop, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, call: Call) -> None:
        """Queue a call."""
        self._put(call)

    def log(self, key: str, point: Point) -> None:
        """Queue one point of a run."""
        self._put(Logged(key, point))

    def settle(self, seconds: float) -> None:
        """Wait until all is sent, at most so long; a tracker that fails is not waited for."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._in_a_row) or self._idle(), seconds)
            self._hurried = False
            if not self._in_a_row:
                # What was sent before a clock runs is no reason to pause while it does.
                self._next = time.monotonic() + LEAST_PAUSE

    def close(self, seconds: float) -> None:
        """Send the rest and end; a tracker that does not answer in time is left behind."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)
        if self._thread.is_alive() and self.error is None:
            self._give_up(TimeoutError(f"no answer within {seconds:.0f} s"))

    def _put(self, item: Item) -> None:
        with self._changed:
            if self.error is None:
                self._queue.append(item)
            if len(self._queue) > MOST_WAITING:
                self._give_up(TimeoutError(f"{MOST_WAITING} values wait for it"))

    def _idle(self) -> bool:
        return self.error is not None or not (self._queue or self._held or self._busy)

    def _due(self) -> bool:
        """Whether the pause is over or cut short; after a failure it is only where the end has come."""
        waiting = bool(self._queue or self._held)
        hurried = self._hurried and waiting and not self._in_a_row
        return self._closing or hurried or time.monotonic() >= self._next

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._due():
                    self._changed.wait(LEAST_PAUSE)
                live = not (self._hurried or self._closing)
                items, self._queue = self._queue, deque()
                self._busy = bool(items or self._held)
                if self.error is not None or (self._closing and not self._busy):
                    break
            began = time.thread_time()
            failure = self._try(items, live=live)
            spent = time.thread_time() - began
            with self._changed:
                self.cpu_seconds += spent
                self._busy = False
                self._queue.extendleft(reversed(items))
                self._next = time.monotonic() + max(LEAST_PAUSE, spent / SHARE)
                self._note(failure)
                self._changed.notify_all()
        self._end()

    def _try(self, items: deque[Item], *, live: bool) -> Exception | None:
        """Send `items`; what is left in it was not sent, for the reason that is returned."""
        try:
            if self._tracker is None and items:
                self._tracker = self._opened()
            self._send(items, live=live)
        except Exception as error:
            return error
        return None

    def _send(self, items: deque[Item], *, live: bool) -> None:
        while items:
            first = items[0]
            if isinstance(first, Logged):
                waiting = list(takewhile(lambda item: isinstance(item, Logged), items))
                points = [item for item in waiting if isinstance(item, Logged)]
                now, later = thinned(points, MOST_POINTS if live else len(points))
                self._log(now)
                self._held += later
                for _ in points:
                    items.popleft()
            else:
                self._send_held()
                first(self._told())
                items.popleft()
        if not live:
            self._send_held()

    def _send_held(self) -> None:
        self._log(self._held)
        self._held.clear()

    def _log(self, points: Sequence[Logged]) -> None:
        for key, group in groupby(points, key=lambda item: item.key):
            self._told().logs(key, [item.point for item in group])

    def _told(self) -> Tracker:
        assert self._tracker is not None
        return self._tracker

    def _note(self, failure: Exception | None) -> None:
        """Count failures in a row: the first of all is told, after the last the tracker is given up."""
        if failure is None:
            self._in_a_row = 0
            return
        if not self.failures:
            why = f"{type(failure).__name__}: {failure}"
            self._warn(f"{self.name} failed ({why}); the comparison goes on, and it is tried again.")
        self._next = time.monotonic() + FIRST_RETRY_SECONDS * 2**self._in_a_row
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_TRIES:
            self._give_up(failure)

    def _give_up(self, error: Exception) -> None:
        self.failures, self.error = max(1, self.failures), error
        self._queue.clear()
        self._held.clear()

    def _end(self) -> None:
        if self._tracker is None:
            return
        try:
            self._tracker.closes()
        except Exception as error:
            self._give_up(self.error or error)


def thinned(points: Sequence[Logged], most: int) -> tuple[list[Logged], list[Logged]]:
    """At most `most` of the points, evenly spread and with the newest, and the others; both in order."""
    stride = max(1, -(-len(points) // max(1, most)))
    last = len(points) - 1
    now = [point for number, point in enumerate(points) if (last - number) % stride == 0]
    return now, [point for number, point in enumerate(points) if (last - number) % stride]
