"""A queue on disk loses nothing that was written, and knows what was sent."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unit.tracking.notebook import Library, Notebook, delivery, left, point, run

from harness.running import journal
from harness.running.outbox import Outbox
from harness.running.told import (
    Completes,
    Ends,
    Item,
    Logged,
    Starts,
    Tagged,
    item_of,
    line_of,
)
from harness.tracking import DataSet, Ended, Point, TrackedRun

DATA = DataSet("pairs", "d1", 3, 2)
WHOLE = TrackedRun("made-1", "a", "a", "cell", "", 5, {"beta": 0.1, "r": 8}, {"arm": "a"}, DATA, "s1")
ITEMS: list[Item] = [
    Starts(WHOLE),
    Logged("a", Point(3, 17, {"train/loss": 0.1 + 0.2, "x": 1e300})),
    Tagged("a", {"now": "“quoted” \ud800"}),
    Ends("a", Ended("failed", 19, "line\nline", {"x": "y"}, "s2")),
    Completes("made-1", "made-1/report", 4),
]


def queue(root: Path, items: list[Item]) -> journal.Journal:
    made = journal.new(root, "notebook", "made")
    for item in items:
        made.append(line_of(item))
    return made


def steps(count: int) -> list[Item]:
    return [Starts(run("a")), *(Logged("a", point(step)) for step in range(count))]


def send(book: Notebook, root: Path) -> Outbox:
    box = Outbox("notebook", left(book, root), lambda text: None)
    box.close(30.0)
    return box


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_is_read_as_it_was_written(item: Item) -> None:
    line = line_of(item)
    assert line.count(b"\n") == 1
    assert item_of(line) == item


def test_a_value_that_is_no_number_is_kept() -> None:
    read = item_of(line_of(Logged("a", Point(1, 2, {"loss": math.nan, "worst": math.inf}))))
    assert isinstance(read, Logged)
    assert math.isnan(read.point.values["loss"])
    assert read.point.values["worst"] == math.inf


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"{}\n", b"null\n", b'["point"]\n', b'["dance", 1]\n', b"\xff\n"]
)
def test_another_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        item_of(line)


def test_lines_longer_than_a_block_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BLOCK", 16)
    made = queue(tmp_path, ITEMS)
    assert [item_of(line) for _, line in made.lines(made.done)] == ITEMS
    made.close()


def test_the_next_command_goes_on_where_the_last_was_killed(tmp_path: Path) -> None:
    made = queue(tmp_path, steps(10))
    lines = made.lines(made.done)
    made.note_until(lines[3][0])
    made.note([lines[6], lines[8]])
    made.close()
    send(book := Notebook(), tmp_path)
    # The run that was open is begun again, for a tracker that finds nothing by itself.
    assert book.began == ["a"]
    assert book.steps == [2, 3, 4, 6, 8, 9]
    assert book.ended == [("a", "killed")], "nobody else will end it"
    assert journal.paths(tmp_path) == []
    assert not (tmp_path / "tracking").exists()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_that_a_crash_cut_was_never_written(cut: int, tmp_path: Path) -> None:
    made = queue(tmp_path, steps(5))
    made.note_until(made.lines(made.done)[2][0])
    made.close()
    (path,) = journal.paths(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    sent = path.with_suffix(".sent")
    sent.write_text(sent.read_text() + "all 9999")
    send(book := Notebook(), tmp_path)
    assert book.steps == [1, 2, 3][: len(book.steps)]
    assert len(book.steps) >= 2


def test_a_line_that_rotted_is_left_out_and_told(tmp_path: Path) -> None:
    made = queue(tmp_path, steps(3))
    made.close()
    (path,) = journal.paths(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'["poXnt", 7]\n', *lines[3:]]))
    box = send(book := Notebook(), tmp_path)
    assert book.steps == [1, 2]
    assert "poXnt" in str(box.refused)


def test_a_queue_that_is_none_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tracking" / "notebook"
    folder.mkdir(parents=True)
    for name, text in (("a", ""), ("b", "null\n"), ("c", '{"project": 1'), ("d", "\0\0\0")):
        (folder / f"{name}.jsonl").write_text(text)
    assert left(Notebook(), tmp_path) == []


def test_what_one_process_delivers_no_other_does(tmp_path: Path) -> None:
    made = queue(tmp_path, steps(3))
    (path,) = journal.paths(tmp_path)
    assert journal.opened(path) is None
    made.close()
    again = journal.opened(path)
    assert again is not None
    again.close()


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = queue(tmp_path, steps(1))
    before = made.path.read_bytes()
    works = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, line, at: works(fd, line[:5], at))
    with pytest.raises(OSError, match="no space"):
        made.append(line_of(ITEMS[0]))
    assert made.path.read_bytes() == before
    made.close()


KILLED = """
import sys, time
sys.path[:0] = ["tests", "."]
from pathlib import Path
from unit.tracking.notebook import Library, delivery
from unit.tracking.test_journal import steps
from harness.running.told import line_of
class Told(Library):
    def logs(self, key, points):
        super().logs(key, points)
        with open(sys.argv[2], "a") as file:
            file.write("".join(f"{point.step}\\n" for point in points))
        print("sending", flush=True)
        time.sleep(0.02)
import harness.running.delivery as module
module.TOGETHER = 4
going = delivery(Told(), Path(sys.argv[1]))
for item in steps(200):
    going.journal.append(line_of(item))
going.send(live=False, moved=lambda seconds: None)
"""


def test_killed_while_it_delivers_nothing_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    """Between sending and noting too, where the tracker can be asked."""
    told = tmp_path / "told"
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(told)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(7):
        assert process.stdout.readline() == "sending\n"
    time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    book = Library()
    book.began = ["a"]
    book.told = [("a", [int(step) for step in told.read_text().split()])]
    assert 0 < len(book.steps) < 200
    send(book, tmp_path)
    assert book.steps == list(range(200))
    assert book.began == ["a"]
    assert journal.paths(tmp_path) == []


def test_a_queue_of_a_command_that_runs_grows_while_it_is_read(tmp_path: Path) -> None:
    going = delivery(book := Notebook(), tmp_path)
    for number, item in enumerate(steps(50)):
        going.journal.append(line_of(item))
        if number % 7 == 0:
            going.send(live=number % 2 == 0, moved=lambda seconds: None)
    going.send(live=False, moved=lambda seconds: None)
    assert sorted(book.steps) == list(range(50))
    assert going.journal.is_empty
