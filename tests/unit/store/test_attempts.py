"""Between two attempts of a stage checkpoints stay, and what the earlier one took is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.at_work import AT_WORK
from harness.records import StageRequest
from harness.store.run_dir import RunRoot


def asked(attempt: str) -> StageRequest:
    return StageRequest(digest="d", kind="train", name="t", seed=0, attempt=attempt, config={})


def worked(folder: Path, seconds: float) -> None:
    """The attempt in `folder` came so far: its files say so."""
    began = (folder / "request.json").stat().st_mtime
    (folder / "checkpoints" / "checkpoint-3").mkdir(parents=True, exist_ok=True)
    for name in ("log.txt", AT_WORK, "checkpoints/checkpoint-3/model.safetensors", "checkpoints/a.txt"):
        (folder / name).touch()
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "half").touch()
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "request.json":
            os.utime(path, (began, began + seconds / 2))
    os.utime(folder / AT_WORK, (began, began + seconds))


def test_attempts_add_up_and_checkpoints_stay(tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    folder = root.start_stage(asked("one"), owner="run")
    worked(folder, 40.0)
    root.start_stage(asked("two"), owner="run")
    second = root.request("d")
    assert second is not None
    assert (second.attempt, second.interruptions) == ("two", 1)
    assert second.earlier_seconds == pytest.approx(40.0, abs=0.01)
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "request.json", "owner.txt"}
    assert (folder / "checkpoints" / "checkpoint-3" / "model.safetensors").exists()
    worked(folder, 2.0)
    root.start_stage(asked("three"), owner="run")
    third = root.request("d")
    assert third is not None
    assert third.interruptions == 2
    assert third.earlier_seconds == pytest.approx(42.0, abs=0.01)


def test_a_finished_stage_that_runs_again_was_not_interrupted(tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    folder = root.start_stage(asked("one"), owner="run")
    worked(folder, 40.0)
    (folder / "result.json").write_text("{}")
    root.start_stage(asked("two"), owner="run")
    again = root.request("d")
    assert again is not None
    assert (again.interruptions, again.earlier_seconds) == (0, 0.0)
    assert not (folder / "checkpoints").exists()
