"""What a stage's silence means, by a clock of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

from harness.stages.vigil import BEAT, BUSY, Silence, Vigil, innermost, state_in_words, where_it_hangs

DUMP = """said before
Thread 0x00007f (most recent call first):
  File "threading.py", line 324 in wait

Current thread 0x00007e (most recent call first):
  File "/a/io.py", line 31 in read
  File "/a/load.py", line 7 in load
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(patience: float | None = None) -> tuple[Vigil, Clock]:
    clock = Clock()
    return Vigil(patience, now=clock), clock


def test_a_process_without_beats_is_told_once_and_again_after_it_answered() -> None:
    vigil, clock = watched()
    clock.now = 60.0
    assert vigil.notices() is None
    clock.now = 61.0
    assert vigil.notices() == Silence("unanswered", 61.0)
    assert vigil.notices() is None
    vigil.hears({BEAT: True})
    clock.now = 123.0
    assert vigil.notices() == Silence("unanswered", 62.0)


def test_beats_without_steps_are_told_after_a_quarter_of_an_hour() -> None:
    vigil, clock = watched()
    for moment in range(0, 1000, 10):
        clock.now = float(moment)
        vigil.hears({BEAT: True})
        noticed = vigil.notices()
        assert noticed == (Silence("stuck", 910.0) if moment == 910 else None)
    vigil.hears({"step": 3})
    assert vigil.notices() is None


def test_a_limit_ends_what_makes_no_progress_and_steps_push_it_out() -> None:
    vigil, clock = watched(30.0)
    clock.now = 29.0
    vigil.hears({"step": 1})
    clock.now = 58.0
    vigil.hears({BEAT: True})
    assert vigil.notices() is None
    clock.now = 60.0
    assert vigil.notices() == Silence("over", 31.0)


def test_the_kernel_is_asked_about_a_process(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    for letter, words in {"T": "`kill -CONT 7`", "D": "a network file system", "S": BUSY}.items():
        (tmp_path / "7" / "stat").write_text(f"7 (a) name) {letter} 1 7")
        assert words in state_in_words(7, tmp_path)
    assert state_in_words(8, tmp_path) == BUSY


def test_the_innermost_frame_is_that_of_the_main_thread() -> None:
    assert innermost(DUMP) == 'File "/a/io.py", line 31 in read'
    assert innermost("nothing of the kind") is None


def test_a_process_that_is_gone_hangs_nowhere(tmp_path: Path) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    assert where_it_hangs(gone, tmp_path / "log.txt") is None
