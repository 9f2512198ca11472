"""A tracker that writes down what it is told, slowly where asked, and fails so many times."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.running import journal
from harness.running.delivery import Delivery
from harness.running.outbox import Outbox
from harness.store.run_dir import RunRoot
from harness.tracking import Ended, Place, Point, Refused, TrackedRun


class Notebook:
    """It finds nothing again. `works` is CPU time a call."""

    def __init__(self, *, seconds: float = 0.0, failures: int = 0, works: float = 0.0) -> None:
        self.began: list[str] = []
        self.told: list[tuple[str, list[int]]] = []
        self.tagged: dict[str, str] = {}
        self.ended: list[tuple[str, str]] = []
        self.seconds, self.failures, self.works = seconds, failures, works
        self.refuses: set[int] = set()
        self.hung = threading.Event()

    def starts(self, run: TrackedRun) -> None:
        self._fail()
        self.began.append(run.key)

    def logs(self, key: str, points: Sequence[Point]) -> None:
        time.sleep(self.seconds)
        until = time.thread_time() + self.works
        while time.thread_time() < until:
            pass
        self._fail()
        if self.refuses & {point.step for point in points}:
            raise Refused("no such step")
        self.told.append((key, [point.step for point in points]))

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._fail()
        self.tagged |= tags

    def ends(self, key: str, ended: Ended) -> None:
        self._fail()
        self.ended.append((key, ended.status))

    def closes(self) -> None:
        self.hung.set()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("gone")

    @property
    def steps(self) -> list[int]:
        return [step for _, steps in self.told for step in steps]


class Library(Notebook):
    """It is asked what it holds, as one that finds runs again."""

    def goes_on(self, run: TrackedRun) -> None:
        self._fail()
        if run.key not in self.began:
            self.began.append(run.key)

    def logs(self, key: str, points: Sequence[Point]) -> None:
        super().logs(key, [point for point in points if point.step not in self.steps])


def delivery(book: Notebook, root: Path, project: str = "made") -> Delivery:
    """A new queue in `root` that goes to `book`."""

    def opened(place: Place) -> Notebook:
        return book

    return Delivery(journal.new(root, "notebook", project), opened, RunRoot(root))


def outbox(book: Notebook, root: Path, said: list[str] | None = None) -> Outbox:
    """An outbox of one new queue."""
    return Outbox("notebook", [delivery(book, root)], (said if said is not None else []).append)


def left(book: Notebook, root: Path) -> list[Delivery]:
    """What is left in `root`, on its way to `book`."""
    queues = [journal.opened(path) for path in journal.paths(root, "notebook")]
    root_of_runs = RunRoot(root)
    return [Delivery.resumed(queue, lambda place: book, root_of_runs, 1) for queue in queues if queue]


def run(key: str) -> TrackedRun:
    return TrackedRun("made-1", key, key, "cell", None, 0, {"beta": 0.1})


def point(step: int) -> Point:
    return Point(step, 0, {"train/loss": 1.0})
