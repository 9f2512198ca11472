"""A tracker is told in bursts, holds nobody up, and may fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from harness.running import outbox
from harness.running.outbox import Logged, Outbox, thinned
from harness.tracking import Point

LONG = 30.0


class Notebook:
    """A tracker that writes down what it is told, slowly where asked, and fails so many times."""

    def __init__(self, *, seconds: float = 0.0, failures: int = 0, work: float = 0.0) -> None:
        self.told: list[tuple[str, list[int]]] = []
        self.ended: list[str] = []
        self.seconds, self.failures, self.work = seconds, failures, work
        self.hung = threading.Event()

    def logs(self, key: str, points: Sequence[Point]) -> None:
        time.sleep(self.seconds)
        until = time.thread_time() + self.work
        while time.thread_time() < until:
            pass
        if self.failures:
            self.failures -= 1
            raise OSError("gone")
        self.told.append((key, [point.step for point in points]))

    def ends(self, key: str, ended: Any) -> None:
        self.ended.append(key)

    def closes(self) -> None:
        self.hung.set()


def opened(book: Notebook, said: list[str] | None = None) -> Outbox:
    return Outbox("notebook", lambda: book, (said if said is not None else []).append)  # type: ignore[arg-type, return-value]


def point(step: int) -> Point:
    return Point(step, 0, {"train/loss": 1.0})


def steps_told(book: Notebook) -> list[int]:
    return [step for _, steps in book.told for step in steps]


def test_a_slow_tracker_keeps_nobody_waiting() -> None:
    book = Notebook(seconds=2.0)
    box, began = opened(book), time.perf_counter()
    for step in range(1000):
        box.log("a", point(step))
    assert time.perf_counter() - began < 1.0
    box.close(LONG)
    assert sorted(steps_told(book)) == list(range(1000))
    assert box.error is None


def test_what_comes_too_fast_is_thinned_and_told_before_the_run_ends() -> None:
    points = [Logged("a", point(step)) for step in range(95)]
    now, later = thinned(points, 40)
    assert len(now) <= 40
    assert now[-1] is points[-1]
    assert sorted([*now, *later], key=lambda one: one.point.step) == points
    assert thinned(points, 95) == (points, [])
    assert thinned([], 40) == ([], [])

    book = Notebook()
    box = opened(book)
    for step in range(95):
        box.log("a", point(step))
    box.tell(lambda tracker: tracker.ends("a", None))  # type: ignore[arg-type]
    box.settle(LONG)
    assert sorted(steps_told(book)) == list(range(95))
    assert book.ended == ["a"]
    box.close(LONG)


def test_live_bursts_take_no_more_than_their_share_of_the_clock() -> None:
    book = Notebook(work=0.02)
    box, began = opened(book), time.perf_counter()
    box.settle(LONG)
    step = 0
    while time.perf_counter() - began < 8.0:
        box.log("a", point(step := step + 1))
        time.sleep(0.01)
    taken = time.perf_counter() - began
    # The first burst comes before any pause, so it is the one that may stand beside a whole share.
    assert box.cpu_seconds <= outbox.SHARE * taken + 1.5 * book.work
    assert book.told
    box.close(LONG)
    assert sorted(steps_told(book)) == list(range(1, step + 1))


def test_what_was_sent_between_stages_puts_off_no_burst_of_the_next() -> None:
    box = opened(book := Notebook(work=0.2))
    box.log("a", point(1))
    box.settle(LONG)
    box.log("b", point(2))
    deadline = time.perf_counter() + 10.0
    while len(book.told) < 2 and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert steps_told(book) == [1, 2]
    box.close(LONG)


def test_a_failure_is_told_once_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_RETRY_SECONDS", 0.01)
    said: list[str] = []
    box = opened(book := Notebook(failures=outbox.MOST_TRIES - 1), said)
    for step in range(3):
        box.log("a", point(step))
    box.close(LONG)
    assert steps_told(book) == [0, 1, 2]
    assert (box.failures, box.error) == (outbox.MOST_TRIES - 1, None)
    (text,) = said
    assert "notebook failed (OSError: gone); the comparison goes on" in text


def test_a_tracker_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_RETRY_SECONDS", 0.0)
    said: list[str] = []
    box = opened(Notebook(failures=10**9), said)
    box.log("a", point(0))
    box.close(LONG)
    assert isinstance(box.error, OSError)
    assert len(said) == 1
    box.log("a", point(1))
    box.settle(LONG)


def test_a_tracker_that_does_not_answer_is_left_behind() -> None:
    class Hung(Notebook):
        def logs(self, key: str, points: Sequence[Point]) -> None:
            self.hung.wait(LONG)

    book = Hung()
    box = opened(book)
    box.log("a", point(0))
    box.close(0.2)
    assert isinstance(box.error, TimeoutError)
    book.hung.set()


def test_no_more_waits_for_a_hung_tracker_than_memory_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 10)
    book = Notebook(seconds=0.5)
    box = opened(book)
    box.log("a", point(0))
    box.settle(0.1)
    for step in range(30):
        box.log("a", point(step))
    assert isinstance(box.error, TimeoutError)
    box.close(LONG)
