"""One queue on its way to one tracker: what waits is sent in order, and noted when it was taken.

What a tracker did with an item that was not noted is unknown (it failed, or the process was killed), so a
tracker that finds runs again is opened anew and compares; another is told such items again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from harness.running.journal import Journal, Line
from harness.running.publish import complete
from harness.running.told import (
    POINT_MARK,
    Completes,
    Context,
    Ends,
    Item,
    Logged,
    Starts,
    Tagged,
    item_of,
    line_of,
)
from harness.store.run_dir import RunRoot
from harness.tracking import Ended, FindsAgain, Place, Point, Refused, Tracker

MOST_POINTS = 20
"""Of one run in a burst while a stage trains; what stands before an item that is no point is sent as well."""
MOST_LIVE_LINES = 100
TOGETHER = 500
"""Lines told and noted at once where nothing is timed."""


class Delivery:
    """`journal` to the tracker that `open_tracker` opens; `refused` says why it would not take some item."""

    def __init__(self, journal: Journal, open_tracker: Callable[[Place], Tracker], root: RunRoot) -> None:
        self.journal = journal
        self.refused: Refused | None = None
        self._open_tracker, self._root = open_tracker, root
        self._tracker: Tracker | None = None
        self._context = Context()
        self._read = journal.done
        self._moved: Callable[[float], None] = _nobody_waits

    @classmethod
    def resumed(
        cls, journal: Journal, open_tracker: Callable[[Place], Tracker], root: RunRoot, now_ms: int
    ) -> Delivery:
        """A queue that a command left; what it left open is ended, since nobody else will."""
        told, in_the_end = journal.contexts()
        ended = Ended("killed", now_ms, "The command was killed; the same command continues.")
        for key in reversed(list(in_the_end.open)):
            journal.append(line_of(Ends(key, ended)))
        made = cls(journal, open_tracker, root)
        made._context = told
        return made

    def send(self, *, live: bool, moved: Callable[[float], None]) -> None:
        """Send what waits, while something is timed only some of it; raises what the tracker raises.

        `moved` is called whenever the tracker has taken something, with the seconds that the next may take.
        """
        if self.journal.is_empty:
            return
        self._moved = moved
        try:
            if self._tracker is None:
                self._tracker = self._opened()
                moved(0.0)
            if live:
                self._send_live()
            else:
                self._send_until(self.journal.end)
        except Exception:
            if isinstance(self._tracker, FindsAgain):
                self._tracker = None
            raise

    def closes(self) -> None:
        """Let go of the tracker."""
        if self._tracker is not None:
            self._tracker.closes()

    def _opened(self) -> Tracker:
        tracker = self._open_tracker(Place(self._root.path, self.journal.project))
        for run in self._context.open.values():
            if isinstance(tracker, FindsAgain):
                tracker.goes_on(run)
            else:
                tracker.starts(run)
        return tracker

    def _send_live(self) -> None:
        """Up to the last item that is no point in order; of points after it a few, and the newest."""
        read = self.journal.lines(max(self._read, self.journal.done))
        lines = [line for line in read if line[0] not in self.journal.sent]
        others = [at + len(line) for at, line in lines if not line.startswith(POINT_MARK)]
        if others:
            self._send_until(others[-1], most=MOST_LIVE_LINES)
        elif read:
            now = thinned(lines, MOST_POINTS)
            self._tell(now)
            self.journal.note(now)
            self._moved(0.0)
            self._read = read[-1][0] + len(read[-1][1])

    def _send_until(self, end: int, most: int | None = None) -> None:
        while lines := self.journal.unsent(end, most=min(TOGETHER, most or TOGETHER)):
            for is_point, group in groupby(lines, key=lambda line: line[1].startswith(POINT_MARK)):
                for some in [list(group)] if is_point else [[one] for one in group]:
                    self._tell(some)
                    self.journal.note_until(some[-1][0] + len(some[-1][1]))
                    self._moved(0.0)
            if most is not None:
                return

    def _tell(self, lines: Sequence[Line]) -> None:
        """Points together, anything else alone; what the tracker will never take is left out."""
        items = []
        for _, line in lines:
            try:
                items.append(item_of(line))
            except ValueError as error:
                self.refused = Refused(str(error))
        points = [item for item in items if isinstance(item, Logged)]
        for key, group in groupby(points, key=lambda item: item.key):
            self._try(partial(self._log, key, [item.point for item in group]))
        for item in items:
            if not isinstance(item, Logged):
                self._try(partial(self._tell_one, item))
            self._context.take(item)

    def _try(self, call: Callable[[Tracker], None]) -> None:
        assert self._tracker is not None
        try:
            call(self._tracker)
        except Refused as error:
            self.refused = error

    def _log(self, key: str, points: Sequence[Point], tracker: Tracker) -> None:
        tracker.logs(key, points)

    def _tell_one(self, item: Item, tracker: Tracker) -> None:
        match item:
            case Starts(run):
                tracker.starts(run)
            case Tagged(key, tags):
                tracker.tags(key, tags)
            case Ends(key, ended):
                tracker.ends(key, ended)
            case Completes():
                complete(tracker, item, self._context, self._root, self._moved)


def _nobody_waits(seconds: float) -> None:
    """Before anything was sent."""


def thinned(lines: Sequence[Line], most: int) -> list[Line]:
    """At most `most` of them, evenly spread and with the newest."""
    stride = max(1, -(-len(lines) // max(1, most)))
    last = len(lines) - 1
    return [line for number, line in enumerate(lines) if (last - number) % stride == 0]
