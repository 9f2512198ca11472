"""What one tracker is told, on a thread of its own: sent in bursts, and tried again while the command runs.

All of it goes through a queue on disk (`journal`), so that nothing is lost with a tracker that is down or
with this process. While a stage trains a burst is followed by a pause that holds the thread's CPU time below
`SHARE` of the clock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from harness.redact import redact
from harness.running.delivery import Delivery
from harness.running.told import Item, Logged, line_of
from harness.tracking import Refused

SHARE = 0.0015
LEAST_PAUSE = 1.0
FIRST_RETRY_SECONDS = 5.0
MOST_RETRY_SECONDS = 60.0
LAST_TRIES, LAST_PAUSE = 3, 1.0
"""At the end of the command."""
PATIENCE_SECONDS = 6.0
"""What a tracker that takes nothing may cost the command, all its waiting together."""
OPENING_SECONDS = 30.0
"""Until the first answer: its package is imported, its tables may have to be made."""


class Outbox:
    """Tells one tracker the queues in `deliveries`, the last of which is this command's own.

    Nothing waits for the tracker but `settle` and `close`. `warn` is called once, when it fails first;
    `failures` counts them all, `error` is the last one while nothing was sent since. `waiting` is how many
    items were left when it was closed, and `refused` why the tracker would not have some.
    """

    def __init__(
        self,
        name: str,
        deliveries: Sequence[Delivery],
        warn: Callable[[str], None],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.name = name
        self.waiting = 0
        self.error: Exception | None = None
        self.refused: Refused | None = None
        self.failures = 0
        self.cpu_seconds = 0.0
        self._deliveries, self._warn = list(deliveries), warn
        self._fresh: deque[Item] = deque()
        self._broken: OSError | None = None
        self._changed = threading.Condition()
        self._hurried = self._closing = self._busy = self._left = self._over = False
        self._in_a_row, self._next = 0, 0.0
        self._most_patience = self._patience = patience
        self._moved, self._tried = time.monotonic(), False
        self._thread = threading.Thread(target=self._loop, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, item: Item) -> None:
        """Queue an item in this command's own queue; raises OSError where the disk does not take it.

        Points are written within a second, together, so that they take little of the caller's time.
        """
        self._fresh.append(item)
        if not isinstance(item, Logged):
            with self._changed:
                self._keep()
        elif self._broken is not None:
            raise self._broken

    def _keep(self) -> None:
        """Write what was told since."""
        lines = [line_of(self._fresh.popleft()) for _ in range(len(self._fresh))]
        if lines:
            self._deliveries[-1].journal.append(b"".join(lines))

    def settle(self, seconds: float) -> None:
        """Wait until all is sent, at most so long; a tracker that fails is not waited for."""
        with self._changed:
            self._keep()
            self._hurried = True
            self._wait(lambda: bool(self._in_a_row) or self._idle(), seconds)
            self._hurried = False
            if not self._in_a_row:
                # What was sent before a clock runs is no reason to pause while it does.
                self._next = time.monotonic() + LEAST_PAUSE

    def close(self, seconds: float) -> None:
        """Send the rest and end; what a tracker does not take in time waits on disk."""
        with self._changed:
            self._keep()
            self._closing = True
            self._wait(lambda: self._over, seconds)
            if not self._over:
                self._left = True
                self.error = self.error or TimeoutError("no answer")
                self.waiting = self._count()
                self._changed.notify_all()

    def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until `done`; no longer than patience lasts with a tracker that takes nothing."""
        self._changed.notify_all()
        began = time.monotonic()
        while not done():
            now = time.monotonic()
            still = now - max(began, self._moved)
            left = min(began + seconds - now, (self._patience if self._tried else OPENING_SECONDS) - still)
            if left <= 0:
                break
            self._changed.wait(left)
        if self._tried:
            self._patience -= max(0.0, time.monotonic() - max(began, self._moved))

    def _idle(self) -> bool:
        return self._over or not (self._busy or any(not one.journal.is_empty for one in self._deliveries))

    def _due(self) -> bool:
        """Whether the pause is over or cut short; after a failure it is only where the end has come."""
        hurried = self._hurried and not self._in_a_row
        return self._closing or self._left or hurried or time.monotonic() >= self._next

    def _loop(self) -> None:
        ended, tries, began = False, LAST_TRIES, time.thread_time()
        while not ended:
            with self._changed:
                self._keep_or_tell()
                while not self._due():
                    self._changed.wait(LEAST_PAUSE)
                    self._keep_or_tell()
                live, last = not (self._hurried or self._closing), self._closing
                self._busy = True
            failure = self._pass(live=live)
            with self._changed:
                spent, began = time.thread_time() - began, time.thread_time()
                self.cpu_seconds += spent
                self._busy = False
                self._next = time.monotonic() + max(LEAST_PAUSE, spent / SHARE)
                self._note(failure)
                tries -= last and failure is not None
                ended = self._left or (last and (not tries or self._idle()))
                self._hurried = self._hurried and not self._idle()
                self._changed.notify_all()
                if last and not ended:
                    self._changed.wait_for(lambda: self._left, LAST_PAUSE if failure else 0.0)
        self._end()

    def _keep_or_tell(self) -> None:
        """A disk that takes nothing is told to the next who tells."""
        try:
            self._keep()
        except OSError as error:
            self._broken = error

    def _pass(self, *, live: bool) -> Exception | None:
        """One burst for every queue; after a failure only for those of other projects."""
        failure: Exception | None = None
        failed = set[str]()
        for one in self._deliveries:
            if one.journal.project in failed or self._left:
                continue
            try:
                one.send(live=live, moved=self._has_moved)
            except Exception as error:
                failure = error
                failed.add(one.journal.project)
            self.refused = self.refused or one.refused
        return failure

    def _has_moved(self, seconds: float) -> None:
        """Something was taken: a sign of life, after which the next may take some seconds."""
        self._moved = time.monotonic() + seconds
        self._patience, self._tried = self._most_patience, True
        if self._left:
            raise TimeoutError("the command has ended")

    def _note(self, failure: Exception | None) -> None:
        """Count failures in a row, with a longer pause after each; the first of all is told."""
        self.error, self._tried = failure, self._tried or failure is not None
        if failure is None:
            self._in_a_row = 0
            return
        if not self.failures:
            self._warn(
                f"{self.name} failed ({in_words(failure)}); the comparison goes on, and it is tried again."
            )
        pause = min(MOST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**self._in_a_row)
        self._next = max(self._next, time.monotonic() + pause)
        self.failures += 1
        self._in_a_row += 1

    def _end(self) -> None:
        for one in self._deliveries:
            try:
                one.closes()
            except Exception as error:
                self.failures, self.error = self.failures + 1, error
        with self._changed:
            self.waiting = self._count()
            for one in self._deliveries:
                one.journal.close(remove=one.journal.is_empty)
            self._over = True
            self._changed.notify_all()

    def _count(self) -> int:
        return sum(one.journal.waiting() for one in self._deliveries)


def in_words(error: BaseException) -> str:
    """An error's first line, not too long and without secrets."""
    text = redact(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {text if len(text) <= 160 else text[:157] + '...'}"
