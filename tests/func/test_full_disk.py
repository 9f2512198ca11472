"""A disk that is really full: one message, nothing half-written, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from e2e.test_compare import TINY, harness
from func.test_stages import run, start
from safetensors import SafetensorError
from safetensors.numpy import save_file

from harness.errors import UserError
from harness.full_disk import says_full
from harness.store.run_dir import RunRoot

ROOM = "64k"


def mounted(folder: Path, *options: str) -> bool:
    """Whether a file system of its own could be put there."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    if not mounted(folder, "-o", f"size={ROOM}"):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free))
    return ballast


@pytest.mark.slow
def test_a_stage_that_fills_the_disk_is_one_message_and_runs_after_room_was_made(small_disk: Path) -> None:
    stage = small_disk / "stage"
    stage.mkdir()
    start(stage)
    ballast = fill(small_disk)
    with pytest.raises(UserError) as raised:
        run(stage)
    said = str(raised.value)
    assert "the disk is full" in said
    assert "0 KiB free" in said
    assert "harness clean" in said
    assert not (stage / "result.json").exists()
    assert not list(stage.glob(".*"))
    ballast.unlink()
    remount(small_disk, "size=4m")
    assert run(stage).facts.train_pairs == 20


@pytest.mark.slow
def test_a_device_that_is_full_needs_no_mount(tmp_path: Path) -> None:
    """Writing to /dev/full fails as on a full disk."""
    (tmp_path / "train.parquet").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full"):
        run(start(tmp_path))
    assert not (tmp_path / "result.json").exists()


def test_weights_that_do_not_fit_are_known_as_a_full_disk(small_disk: Path) -> None:
    """safetensors has an error of its own."""
    with pytest.raises(SafetensorError) as raised:
        save_file({"weights": numpy.zeros(100_000)}, small_disk / "model.safetensors")
    assert says_full(raised.value)


@pytest.mark.slow
def test_a_comparison_stops_before_damage_and_the_same_command_goes_on(small_disk: Path) -> None:
    remount(small_disk, "size=2m")
    out = small_disk / "runs"
    arguments = [
        "compare",
        *TINY,
        "--arms",
        "orpo",
        "--score",
        "preference",
        "--out",
        str(out),
        "--no-mlflow",
    ]
    stopped = harness(*arguments)
    assert stopped.returncode == 2, stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert len(stopped.stderr.strip().splitlines()) == 1
    assert "free" in stopped.stderr
    kept = {f.parent.name: f.stat().st_mtime_ns for f in out.glob("stages/*/result.json")}
    remount(small_disk, "size=400m")
    done = harness(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    root = RunRoot(out)
    assert {d: (root.stage_folder(d) / "result.json").stat().st_mtime_ns for d in kept} == kept
    assert [path for path in out.rglob(".*") if path.name != ".lock"] == []
