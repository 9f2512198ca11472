"""Real child processes that fail in every way a stage can."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted, StageFailed, UserError
from harness.records import StageRequest
from harness.stages import runner

ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, kind: str = "prepare", **config: Any) -> Path:
    settings = {"model": "embedded", "data": {"max_length": 64, "limit": 20, "test_limit": 5}, **config}
    request = StageRequest(digest="d", kind=kind, name="t", seed=0, config=settings)  # type: ignore[arg-type]
    (tmp_path / "request.json").write_text(request.model_dump_json())
    return tmp_path


def run(folder: Path, **settings: Any) -> Any:
    return runner.run_stage(folder, name="t", listen=lambda message: None, **settings)


def test_a_stage_leaves_a_result_with_its_environment_and_seconds(tmp_path: Path) -> None:
    result = run(start(tmp_path))
    assert result.facts.train_pairs == 20
    assert result.measured("start_up_seconds").value > 0
    assert result.environment.versions["torch"]


def test_what_the_user_can_mend_arrives_as_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        run(start(tmp_path, data={"source": str(tmp_path / "none.jsonl")}))
    assert not (tmp_path / "result.json").exists()


def test_a_crash_shows_the_logs_last_lines(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="stage t failed: ValidationError") as failure:
        run(start(tmp_path, nonsense=1))
    assert "Extra inputs are not permitted" in failure.value.log_tail


def test_a_hang_is_ended(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="it ran longer than 0 s"):
        run(start(tmp_path), timeout_seconds=0.2)


def test_a_killed_process_says_by_what(tmp_path: Path) -> None:
    def kill(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            pid = next(
                int(p.name)
                for p in Path("/proc").iterdir()
                if p.name.isdigit() and str(tmp_path) in (p / "cmdline").read_text().replace("\0", " ")
            )
            os.kill(pid, signal.SIGKILL)

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
