"""What a killed process left is removed at the next start, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import at_work
from harness.records import StageRequest
from harness.store.run_dir import RunRoot


def dead() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    found = RunRoot(tmp_path)
    found.open_for_writing()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("{}")
    return found


def start(root: RunRoot, digest: str) -> Path:
    asked = StageRequest(digest=digest, kind="train", name=digest, seed=0, config={})
    return root.start_stage(asked, owner="run")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_half_written_files_of_dead_processes_go(root: RunRoot) -> None:
    gone, here, other = dead(), os.getpid(), os.getppid()
    report = root.path / "run" / f".report.{gone}"
    report.mkdir()
    (report / "report.html").touch()
    (root.path / "run" / f".record.json.{here}").touch()
    (root.path / f".latest.{gone}").symlink_to("run")
    (root.path / f".writable.{gone}").touch()
    (root.path / "run" / f".report.{other}").mkdir()
    (root.path / "cache" / "reference").mkdir(parents=True)
    (root.path / "cache" / "reference" / f".abc.safetensors.{gone}").touch()
    with root.lock("test"):
        pass
    caches = {"cache", "cache/reference"}
    assert names(root.path) == {".lock", "stages", "run", "run/record.json", f"run/.report.{other}"} | caches


def test_what_is_not_ours_stays(root: RunRoot) -> None:
    """The folder of runs may be one in which other things lie."""
    gone = dead()
    (root.path / "mine").mkdir()
    mine = [
        root.path / "mine" / f".report.{gone}",
        root.path / f".notes.{gone}",
        root.path / "run" / ".keep.me",
    ]
    outside = root.path.parent / f"outside-{root.path.name}"
    outside.mkdir()
    (outside / "status.json").touch()
    (outside / f".report.{gone}").touch()
    (root.path / "linked").symlink_to(outside)
    for path in mine:
        path.touch()
    with root.lock("test"):
        pass
    assert all(path.exists() for path in [*mine, outside / f".report.{gone}"])


def test_a_half_stage_keeps_what_tells_why_and_what_its_next_attempt_goes_on_from(root: RunRoot) -> None:
    folder = start(root, "half")
    kept = {
        "log.txt",
        "error.json",
        "request.json",
        "owner.txt",
        "checkpoints",
        "checkpoints/10",
        at_work.AT_WORK,
    }
    (folder / "checkpoints").mkdir()
    (folder / "model").mkdir()
    for name in ("log.txt", "error.json", "checkpoints/10", "model/half", at_work.AT_WORK, "train.parquet"):
        (folder / name).touch()
    done = start(root, "done")
    (done / "result.json").touch()
    (done / "model").touch()
    with root.lock("test"):
        pass
    assert names(folder) == kept
    assert names(done) == {"request.json", "owner.txt", "result.json", "model"}


def test_a_stage_in_which_a_process_works_is_left_alone(
    root: RunRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "DYING_SECONDS", 0.2)
    folder = start(root, "half")
    (folder / "model").touch()
    with at_work.working_in(folder), root.lock("test"):
        assert (folder / "model").exists()


def test_a_root_that_is_held_is_not_swept(root: RunRoot) -> None:
    with root.lock("first"):
        left = root.path / "run" / f".report.{dead()}"
        left.mkdir()
        with pytest.raises(Exception, match="writes here"), RunRoot(root.path).lock("second"):
            pass
        assert left.exists()
