"""Real child processes that fail in every way a stage can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted, StageFailed, UserError
from harness.records import StageRequest
from harness.stages import runner, vigil

ROOT = Path(__file__).parents[2]
STEPS = """
import os, sys, time
for step in range(15):
    os.write(int(sys.argv[1]), b'{"step": %d, "total": 15, "metrics": {}}\\n' % step)
    time.sleep(0.2)
"""
NONE = {"source": "none.jsonl"}
"""Data that are not there, which a stage finds before it has imported much."""
HANGS = """
import sys, time
class Dead:
    def find_spec(self, name, *more):
        if name == "harness.stages.prepare":
            time.sleep(1000)
sys.meta_path.insert(0, Dead())
"""


def start(tmp_path: Path, kind: str = "prepare", **config: Any) -> Path:
    settings = {"model": "embedded", "data": {"max_length": 64, "limit": 20, "test_limit": 5}, **config}
    request = StageRequest(digest="d", kind=kind, name="t", seed=0, config=settings)  # type: ignore[arg-type]
    (tmp_path / "request.json").write_text(request.model_dump_json())
    return tmp_path


def run(folder: Path, **settings: Any) -> Any:
    return runner.run_stage(folder, name="t", listen=lambda message: None, **settings)


def _process_in(folder: Path) -> int:
    return next(
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and str(folder) in (p / "cmdline").read_text().replace("\0", " ")
    )


def test_a_stage_leaves_a_result_with_its_environment_and_seconds(fresh: Any) -> None:
    assert fresh.facts.train_pairs == 20
    assert fresh.measured("start_up_seconds").value > 0
    assert fresh.environment.versions["torch"]


def test_what_the_user_can_mend_arrives_as_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        run(start(tmp_path, data=NONE))
    assert not (tmp_path / "result.json").exists()


def test_a_crash_shows_the_logs_last_lines(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="stage t failed: ValidationError") as failure:
        run(start(tmp_path, nonsense=1))
    assert "Extra inputs are not permitted" in failure.value.log_tail


def test_a_hang_is_ended_and_says_where_it_hung(tmp_path: Path) -> None:
    """The stage's code is imported from a place that never answers, as a dead file system does."""
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    folder = start(tmp_path)
    said = r"no step and no phase for \d+ s: at File .*sitecustomize.*, line 6 in find_spec; all stacks"
    with pytest.raises(StageFailed, match=said):
        run(folder, patience_seconds=4, environment={"PYTHONPATH": str(tmp_path)})
    assert "Current thread" in (folder / "log.txt").read_text()


def test_time_in_which_the_parent_stood_still_is_no_silence(tmp_path: Path) -> None:
    """A terminal that is paused, or a parent that was stopped itself; the child steps five times a second."""
    read_end, write_end = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", STEPS, str(write_end)], pass_fds=(write_end,))
    os.close(write_end)
    heard: list[int] = []

    def listen(message: dict[str, Any]) -> None:
        if "step" in message:
            heard.append(message["step"])
            time.sleep(2.0 if len(heard) == 1 else 0.0)

    try:
        assert runner._watch(child, read_end, listen, 1.0, tmp_path / "log.txt") is None
    finally:
        os.close(read_end)
    assert heard == list(range(15))


def test_a_stopped_process_is_noticed_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "UNANSWERED_SECONDS", 1.0)
    said: list[str] = []
    stopped: list[int] = []

    def listen(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up" and not stopped:
            stopped.append(_process_in(tmp_path))
            os.kill(stopped[0], signal.SIGSTOP)
        if "say" in message and stopped:
            said.append(message["say"])
            os.kill(stopped[0], signal.SIGCONT)

    with pytest.raises(UserError, match="no such file"):
        runner.run_stage(start(tmp_path, data=NONE), name="t", listen=listen)
    process = stopped[0]
    assert said[0] == (
        f"process {process} has not answered for 1 s: it is stopped by a signal; `kill -CONT {process}` lets "
        "it go on"
    )


def test_a_killed_process_says_by_what(tmp_path: Path) -> None:
    def kill(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            os.kill(_process_in(tmp_path), signal.SIGKILL)

    with pytest.raises(StageFailed, match="ended by SIGKILL, which is how Linux ends a process when memory"):
        runner.run_stage(start(tmp_path), name="t", listen=kill)


def test_rubbish_instead_of_a_result_is_a_failure(tmp_path: Path) -> None:
    folder = start(tmp_path)
    text = (folder / "request.json").read_text()
    (folder / "request.json").write_text(text[: len(text) // 2])
    with pytest.raises(StageFailed, match="Invalid JSON"):
        run(folder)


def test_ctrl_c_stops_the_child_and_leaves_no_result(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # A shell that runs this in the background has SIGINT ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        run(start(tmp_path, data={"max_length": 64, "limit": 20_000}))
    assert time.monotonic() - began < 30
    assert not (tmp_path / "result.json").exists()
