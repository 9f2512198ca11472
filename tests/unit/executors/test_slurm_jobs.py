"""Jobs of the executor slurm on submitit's local cluster: handed over, found, preempted, cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("submitit")

from harness.errors import UserError
from harness.executors import Handle, Job, JobState
from harness.executors._queue import parameters
from harness.executors.opening import jobs_in
from harness.executors.slurm import Slurm, places_of
from harness.pipeline.executor_spec import SlurmSpec

COUNTS = """
import pathlib, signal, sys, time
def stop(number, frame):
    print("ended cleanly", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
starts = pathlib.Path("starts")
starts.open("a").write("x")
while len(starts.read_text()) < 2:
    time.sleep(0.05)
"""
"""Waits when it starts first, and ends well when it starts again."""
WAITS = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); time.sleep(60)"


def settings(**fields: Any) -> SlurmSpec:
    return SlurmSpec(cluster="local", gpus=0, cpus=1, jobs=2, poll_seconds=0.1, **fields)


def executor(**fields: Any) -> Slurm:
    spec = settings(**fields)
    return Slurm(spec, places_of(spec))


def job(folder: Path, name: str, code: str, **fields: Any) -> Job:
    made = folder / "units" / "mine" / name
    made.mkdir(parents=True, exist_ok=True)
    return Job(name, made, (sys.executable, "-c", code), directory=made, asks="1", **fields)


def wait_for(handle: Handle, *states: JobState, seconds: float = 40.0) -> None:
    until = time.monotonic() + seconds
    while handle.state() not in states:
        assert time.monotonic() < until, (handle.state(), handle.told())
        time.sleep(0.05)


def children(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def preempt(handle: Any) -> None:
    """What SLURM sends to a job that has to go, with the signal that submitit asks it for."""
    (on_node,) = children(int(handle.queued.id))
    os.kill(on_node, signal.SIGUSR2)


def test_one_waits_for_another_and_each_says_where_it_runs(tmp_path: Path) -> None:
    slurm = executor()
    first = slurm.start(job(tmp_path, "first", "print('done')"))
    second = slurm.start(job(tmp_path, "second", "raise SystemExit(3)", needs=("first",)))
    assert second.state() == "waiting"
    wait_for(first, "finished")
    wait_for(second, "failed")
    place = first.place()
    assert place is not None
    assert place.device == f"job {first.queued.id}"
    assert (tmp_path / "units" / "mine" / "first" / "log.txt").read_text() == "done\n"
    slurm.close()


def test_a_preempted_job_ends_its_worker_cleanly_and_goes_on(tmp_path: Path) -> None:
    slurm = executor()
    handle = slurm.start(job(tmp_path, "unit", COUNTS))
    folder = tmp_path / "units" / "mine" / "unit"
    wait_for(handle, "running")
    until = time.monotonic() + 30
    while not (folder / "starts").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    preempt(handle)
    wait_for(handle, "finished")
    assert (folder / "starts").read_text() == "xx"
    assert (folder / "log.txt").read_text() == "ended cleanly\n"
    slurm.close()


def test_jobs_that_were_left_are_found_by_the_next_command(tmp_path: Path) -> None:
    first = executor()
    handle = first.start(job(tmp_path, "unit", COUNTS))
    wait_for(handle, "running")
    (left,) = first.leave()
    first.close()
    folder = tmp_path / "units" / "mine" / "unit"
    assert jobs_in(tmp_path / "units") == {"mine": [f"job {left}: running"]}
    second = executor()
    assert second.holds(folder)
    found = second.start(job(tmp_path, "unit", COUNTS))
    assert (found.found, found.queued.id) == (True, left)
    (folder / "starts").write_text("xx")
    wait_for(found, "finished")
    assert not second.holds(folder)
    assert jobs_in(tmp_path / "units") == {}
    second.close()


def test_a_job_that_runs_something_else_is_cancelled_and_not_taken(tmp_path: Path) -> None:
    first = executor()
    handle = first.start(job(tmp_path, "unit", WAITS))
    wait_for(handle, "running")
    (left,) = first.leave()
    second = executor()
    other = second.start(Job("unit", handle.job.folder, (sys.executable, "-c", ""), asks="2"))
    assert not other.found
    wait_for(other, "finished")
    assert other.queued.id != left
    until = time.monotonic() + 30
    while handle.now() not in ("lost", "failed"):
        assert time.monotonic() < until
        time.sleep(0.1)
    second.close()


def test_closing_cancels_what_was_not_left(tmp_path: Path) -> None:
    slurm = executor()
    handle = slurm.start(job(tmp_path, "unit", WAITS))
    wait_for(handle, "running")
    slurm.close()
    assert handle.state() == "lost"
    until = time.monotonic() + 30
    while jobs_in(tmp_path / "units"):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_what_cannot_be_is_said_before_anything_is_handed_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kind of device that jobs get is not named"):
        places_of(SlurmSpec())
    with pytest.raises(UserError, match=r"1 GPU\(s\) and the kind of device is cpu:x:4"):
        places_of(SlurmSpec(kind="cpu:x:4"))
    with pytest.raises(ValueError, match="no shorter than the job"):
        SlurmSpec(hours=0.1, signal_minutes=6)
    assert [place.kind for place in places_of(SlurmSpec(kind="cuda:H200", jobs=3))] == ["cuda:H200"] * 3


def test_needs_are_dependencies_of_the_queue() -> None:
    asked = parameters(SlurmSpec(kind="cuda:H200", sbatch=("exclude=node7",)), ["12_0", "12_1"])
    assert asked["slurm_dependency"] == "afterok:12_0:12_1"
    assert asked["slurm_additional_parameters"]["exclude"] == "node7"
    assert json.dumps(parameters(SlurmSpec(gpus=0))).count("gpus") == 0
