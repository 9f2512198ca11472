"""A tracker is told in bursts, holds nobody up, and may fail."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from unit.tracking.notebook import Library, Notebook, delivery, outbox, point, run

from harness.running import journal
from harness.running import outbox as module
from harness.running.delivery import thinned
from harness.running.outbox import Outbox, in_words
from harness.running.told import Ends, Logged, Starts, line_of
from harness.tracking import Ended, Point

LONG = 30.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_PAUSE", 0.02)


def log(box: Outbox, steps: range) -> None:
    for step in steps:
        box.tell(Logged("a", point(step)))


def end(box: Outbox) -> None:
    box.tell(Ends("a", Ended("finished", 1)))


def test_a_slow_tracker_keeps_nobody_waiting(tmp_path: Path) -> None:
    book = Notebook(seconds=1.0)
    box, began = outbox(book, tmp_path), time.perf_counter()
    log(box, range(1000))
    assert time.perf_counter() - began < 0.9
    box.close(LONG)
    assert sorted(book.steps) == list(range(1000))
    assert (box.error, box.waiting) == (None, 0)


def test_what_comes_too_fast_is_thinned_and_told_before_the_run_ends(tmp_path: Path) -> None:
    lines = [(step, b"") for step in range(95)]
    now = thinned(lines, 40)
    assert len(now) <= 40
    assert now[-1] is lines[-1]
    assert thinned(lines, 95) == lines
    assert thinned([], 40) == []

    live = delivery(book := Notebook(), tmp_path)
    for step in range(95):
        live.journal.append(line_of(Logged("a", point(step))))
    live.send(live=True, moved=lambda seconds: None)
    assert 0 < len(book.steps) <= 20
    assert book.steps[-1] == 94
    live.journal.append(line_of(Ends("a", Ended("finished", 1))))
    live.send(live=True, moved=lambda seconds: None)
    live.send(live=True, moved=lambda seconds: None)
    assert sorted(book.steps) == list(range(95))
    assert book.ended == [("a", "finished")]


def test_live_bursts_take_no_more_than_their_share_of_the_clock(tmp_path: Path) -> None:
    book = Notebook(works=0.02)
    box, began = outbox(book, tmp_path), time.perf_counter()
    box.settle(LONG)
    step = 0
    while time.perf_counter() - began < 5.0:
        step += 1
        box.tell(Logged("a", point(step)))
        time.sleep(0.01)
    taken = time.perf_counter() - began
    # The first burst comes before any pause, so it is the one that may stand beside a whole share.
    assert box.cpu_seconds <= module.SHARE * taken + 1.5 * book.works
    assert book.told
    box.close(LONG)
    assert sorted(book.steps) == list(range(1, step + 1))


def test_what_was_sent_between_stages_puts_off_no_burst_of_the_next(tmp_path: Path) -> None:
    box = outbox(book := Notebook(works=0.2), tmp_path)
    log(box, range(1, 2))
    box.settle(LONG)
    box.tell(Logged("b", point(2)))
    deadline = time.perf_counter() + 10.0
    while len(book.told) < 2 and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert book.steps == [1, 2]
    box.close(LONG)


def test_a_failure_is_told_once_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it fails: there is no last try while the command runs."""
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(module, "LEAST_PAUSE", 0.01)
    monkeypatch.setattr(module, "SHARE", 1.0)
    said: list[str] = []
    box = outbox(book := Notebook(failures=9), tmp_path, said)
    log(box, range(3))
    deadline = time.perf_counter() + 10.0
    while book.failures and time.perf_counter() < deadline:
        time.sleep(0.01)
    box.close(LONG)
    assert book.steps == [0, 1, 2]
    assert (box.failures, box.error, box.waiting) == (9, None, 0)
    (text,) = said
    assert "notebook failed (OSError: gone); the comparison goes on" in text
    assert not (tmp_path / "tracking").exists()


def test_pauses_grow_up_to_a_minute() -> None:
    box = Outbox.__new__(Outbox)
    box.name, box.failures, box._in_a_row, box._next, box._warn = "notebook", 0, 0, 0.0, lambda text: None
    box._tried = True
    pauses = []
    for _ in range(8):
        box._note(OSError("gone"))
        pauses.append(round(box._next - time.monotonic()))
    assert pauses == [5, 10, 20, 40, 60, 60, 60, 60]


def test_a_tracker_that_stays_away_costs_little_and_its_queue_stays(tmp_path: Path) -> None:
    said: list[str] = []
    box, began = outbox(Notebook(failures=10**9), tmp_path, said), time.perf_counter()
    log(box, range(2))
    for _ in range(20):
        box.settle(LONG)
    box.close(LONG)
    assert time.perf_counter() - began < 3.0
    assert (str(box.error), box.waiting, len(said)) == ("gone", 2, 1)
    assert len(journal.paths(tmp_path, "notebook")) == 1


def test_a_tracker_that_does_not_answer_is_left_behind(tmp_path: Path) -> None:
    class Hung(Notebook):
        def logs(self, key: str, points: Sequence[Point]) -> None:
            self.hung.wait(LONG)

    box = Outbox("notebook", [delivery(book := Hung(), tmp_path)], lambda text: None, patience=0.5)
    box.tell(Starts(run("a")))
    box.settle(LONG)
    log(box, range(1))
    began = time.perf_counter()
    for _ in range(5):
        box.settle(LONG)
    box.close(LONG)
    assert time.perf_counter() - began < 1.0, "its patience is for all waiting together"
    assert (isinstance(box.error, TimeoutError), box.waiting) == (True, 1)
    book.hung.set()


def test_one_that_is_slow_but_takes_something_is_waited_for(tmp_path: Path) -> None:
    box = Outbox("notebook", [delivery(book := Notebook(seconds=0.2), tmp_path)], print, patience=0.5)
    for step in range(8):
        box.tell(Logged(f"run{step}", point(step)))
        box.tell(Ends(f"run{step}", Ended("finished", 1)))
    box.close(LONG)
    assert (len(book.ended), box.waiting) == (8, 0)


def test_what_is_refused_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    book = Notebook()
    book.refuses = {1}
    box = outbox(book, tmp_path)
    box.tell(Starts(run("a")))
    log(box, range(1, 2))
    end(box)
    box.close(LONG)
    assert (book.began, book.told, book.ended) == (["a"], [], [("a", "finished")])
    assert box.refused is not None
    assert (box.error, box.waiting) == (None, 0)


def test_one_that_finds_runs_again_is_opened_anew_and_has_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did with a call that failed is unknown: here it took it."""
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.0)

    class Forgets(Library):
        def logs(self, key: str, points: Sequence[Point]) -> None:
            super().logs(key, points)
            self._fail()

    box = outbox(book := Forgets(), tmp_path)
    box.tell(Starts(run("a")))
    box.settle(LONG)
    book.failures = 2
    log(box, range(3))
    end(box)
    box.close(LONG)
    assert (book.began, book.steps, book.ended) == (["a"], [0, 1, 2], [("a", "finished")])


def test_a_failure_of_one_project_keeps_no_other_waiting(tmp_path: Path) -> None:
    gone, here = Notebook(failures=10**9), Notebook()
    box = Outbox("notebook", [delivery(gone, tmp_path, "old"), delivery(here, tmp_path)], lambda text: None)
    box._deliveries[0].journal.append(b'["tags", "a", {"x": "1"}]\n')
    log(box, range(3))
    box.close(LONG)
    assert (here.steps, box.waiting) == ([0, 1, 2], 1)


def test_an_errors_first_line_is_enough() -> None:
    assert in_words(OSError("one\ntwo")) == "OSError: one"
    assert len(in_words(OSError("x" * 500))) < 180
