"""Odd environments with real processes: rubbish on the pipe, folders that go away, memory, clocks."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from func.test_full_disk import mounted, remount
from func.test_stages import start

from harness.errors import UserError
from harness.records import StageRequest, StageResult
from harness.stages import runner
from harness.store.guard import guarded
from harness.store.run_dir import RunRoot

pytestmark = pytest.mark.slow
RUBBISH = """
import os, sys
pipe = int(sys.orig_argv[-2])
os.write(pipe, b"warning: not json\\n[1]\\n{half\\n\\xff\\n" + b"x" * 60_000)
os.write(pipe, b"\\n")
"""
COMMAND = """
import sys
from pathlib import Path
from harness.errors import StageFailed
from harness.stages import runner
try:
    runner.run_stage(Path(sys.argv[1]), name="t", listen=lambda message: None)
except StageFailed as error:
    print(error.cause)
"""
BACK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
static double began;
int clock_gettime(clockid_t id, struct timespec *at) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec steady;
    real(CLOCK_MONOTONIC, &steady);
    if (!began) began = steady.tv_sec;
    int done = real(id, at);
    if (id == CLOCK_REALTIME && steady.tv_sec - began > %SECONDS%) at->tv_sec -= 86400;
    return done;
}
"""


def run(folder: Path, listen: Any = lambda message: None, **environment: str) -> StageResult:
    return runner.run_stage(folder, name="t", listen=listen, environment=environment)


def first_of_all(tmp_path: Path, code: str) -> str:
    """A PYTHONPATH by which the stage's process runs `code` before anything else."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(code)
    return f"{tmp_path / 'first'}:{Path(__file__).parents[2]}"


def stage(tmp_path: Path) -> Path:
    (tmp_path / "stage").mkdir()
    return start(tmp_path / "stage")


def test_rubbish_on_the_pipe_ends_nothing(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    result = run(stage(tmp_path), heard.append, PYTHONPATH=first_of_all(tmp_path, RUBBISH))
    assert result.finished_at > result.started_at
    assert [one["say"] for one in heard if "pipe" in one.get("say", "")] == [
        'its pipe carried what is no message and is ignored ("warning: not json")'
    ]
    assert {"phase": "start-up"} in heard


def test_a_stage_folder_that_is_removed_is_one_message(tmp_path: Path) -> None:
    folder = stage(tmp_path)

    def remove(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            shutil.rmtree(folder)

    with pytest.raises(UserError, match="the folder of stage t was removed while it ran"):
        run(folder, remove)
    assert not folder.exists()


def test_a_disk_that_is_pulled_out_is_one_message(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not mounted(disk, "-o", "size=16m"):
        pytest.skip("no file system can be mounted here")
    folder = disk / "stage"
    folder.mkdir()
    start(folder)

    def pull(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            subprocess.run(["umount", "-l", str(disk)], check=True)

    with pytest.raises(UserError, match="the folder of stage t was removed while it ran"):
        run(folder, pull)


def test_a_disk_that_turned_read_only_is_one_message(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    if not mounted(disk, "-o", "size=1m"):
        pytest.skip("no file system can be mounted here")
    root = RunRoot(disk)
    root.open_for_writing()
    asked = StageRequest(digest="d", kind="prepare", name="t", seed=0, config={})
    try:
        remount(disk, "ro")
        said = r"disk/.*: cannot be written to any more \(Read-only file system\)"
        with pytest.raises(UserError, match=said), guarded(root.path):
            root.start_stage(asked, owner="run")
        with pytest.raises(UserError, match=r"cannot be written to \(Read-only file system\)"):
            root.open_for_writing()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("mebibytes", [400, 700])
def test_a_memory_limit_is_one_line_that_says_what_to_do(tmp_path: Path, mebibytes: int) -> None:
    folder, limit = stage(tmp_path), mebibytes << 20
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    (line,) = done.stdout.strip().splitlines()
    assert "(ulimit -v allows" in line
    assert "training.micro_batch_size=1" in line


@pytest.mark.skipif(shutil.which("gcc") is None, reason="builds a library that sets the clock back")
def test_a_clock_that_is_set_back_makes_no_stage_end_before_it_starts(tmp_path: Path) -> None:
    """The stage's own libraries load for a second or more, and the clock is a day back after that."""
    library = tmp_path / "back.so"
    source = tmp_path / "back.c"
    source.write_text(BACK.replace("%SECONDS%", "4"))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    (tmp_path / "stage").mkdir()
    long = {"max_length": 64, "limit": 20_000}
    result = run(start(tmp_path / "stage", data=long), LD_PRELOAD=str(library))
    took = datetime.fromisoformat(result.finished_at) - datetime.fromisoformat(result.started_at)
    assert 0 < took.total_seconds() < 600
    assert all(one.value is None or one.value >= 0 for one in result.ledger if one.unit == "s")
