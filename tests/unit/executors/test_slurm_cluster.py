"""Jobs of the executor slurm on a SLURM made for tests, and the files that it is handed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("submitit")

from harness.errors import UserError
from harness.executors import Handle, Job, JobState
from harness.executors.opening import jobs_in
from harness.executors.slurm import Slurm, places_of
from harness.pipeline.executor_spec import SlurmSpec

FAKE = Path(__file__).parents[2] / "fixtures" / "slurm" / "fake.py"
GOLDEN = Path(__file__).parents[2] / "golden" / "slurm"
COMMANDS = ("sbatch", "srun", "sacct", "squeue", "scancel", "scontrol")
TWICE = """
import pathlib, time
starts = pathlib.Path("starts")
starts.open("a").write("x")
while len(starts.read_text()) < 2:
    time.sleep(0.05)
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of SLURM on the path; the folder of their state."""
    state, commands = tmp_path / "slurm", tmp_path / "bin"
    state.mkdir()
    commands.mkdir()
    for name in COMMANDS:
        # The script goes by the name it is called by, and python by that of the script.
        (commands / f"{name}.py").symlink_to(FAKE)
        wrapper = commands / name
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {commands}/{name}.py "$@"\n')
        wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(state))
    return state


def executor(**fields: Any) -> Slurm:
    given = {"kind": "cpu:x:1", "gpus": 0, "cpus": 1, "jobs": 2, "poll_seconds": 0.6, **fields}
    spec = SlurmSpec(**given)
    return Slurm(spec, places_of(spec))


def job(folder: Path, name: str, code: str, needs: tuple[str, ...] = ()) -> Job:
    made = folder / "runs" / "units" / "mine" / name
    made.mkdir(parents=True, exist_ok=True)
    return Job(name, made, (sys.executable, "-c", code), directory=made, needs=needs, asks="1")


def wait_for(handle: Handle, *states: JobState, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while handle.state() not in states:
        assert time.monotonic() < until, (handle.state(), handle.told())
        time.sleep(0.1)


def test_units_are_an_array_and_what_needs_them_waits_in_the_queue(cluster: Path, tmp_path: Path) -> None:
    slurm = executor()
    one, two = (slurm.start(job(tmp_path, name, "pass")) for name in ("one", "two"))
    last = slurm.start(job(tmp_path, "last", "pass", needs=("one", "two")))
    one.state()
    assert [one.queued.id, two.queued.id, last.queued.id] == ["100_0", "100_1", "101"]
    for handle in (one, two, last):
        wait_for(handle, "finished")
    assert "--dependency=afterok:100_0:100_1" in (cluster / "101.sh").read_text()
    assert "--array=0-1%2" in (cluster / "100.sh").read_text()
    slurm.close()


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_what_needs_a_job_that_did_not_end_well_never_starts(
    code: str, cluster: Path, tmp_path: Path
) -> None:
    slurm = executor()
    needed = slurm.start(job(tmp_path, "needed", code))
    needing = slurm.start(job(tmp_path, "needing", "open('ran', 'w')", needs=("needed",)))
    wait_for(needed, "failed" if "Exit" in code else "lost")
    wait_for(needing, "lost")
    assert not (tmp_path / "runs" / "units" / "mine" / "needing" / "ran").exists()
    asked = subprocess.run(["sacct", "-j", "100", "-j", "101"], capture_output=True, text=True, check=True)
    assert "100|FAILED" in asked.stdout
    assert "101|CANCELLED" in asked.stdout
    slurm.close()


def test_a_job_that_the_queue_may_put_back_is_cancelled_before_another_is_made(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SLURM_HOLD", "1")
    slurm = executor()
    unit = job(tmp_path, "unit", "pass")
    slurm.start(unit).state()
    known = json.loads((cluster / "100.json").read_text())
    (cluster / "100.json").write_text(json.dumps({**known, "state": "PREEMPTED"}))
    again = executor().start(unit)
    assert again.state() == "waiting"
    assert again.queued.id == "101"
    assert json.loads((cluster / "100.json").read_text())["state"] == "CANCELLED"


def test_a_preempted_job_is_requeued_and_goes_on(cluster: Path, tmp_path: Path) -> None:
    slurm = executor()
    handle = slurm.start(job(tmp_path, "unit", TWICE))
    starts = tmp_path / "runs" / "units" / "mine" / "unit" / "starts"
    handle.state()
    until = time.monotonic() + 40
    while not starts.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    # As SLURM tells a job that it has to go, by submitit's own way of trying it.
    subprocess.run(["scancel", handle.queued.id, "--signal", "USR2"], check=True)
    wait_for(handle, "finished")
    assert starts.read_text() == "xx"
    slurm.close()


def test_a_job_that_waits_says_why_and_is_cancelled_without_having_run(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SLURM_HOLD", "1")
    slurm = executor()
    handle = slurm.start(job(tmp_path, "unit", "pass"))
    assert handle.state() == "waiting"
    assert jobs_in(tmp_path / "runs" / "units") == {"mine": ["job 100: pending (Resources)"]}
    slurm.close()
    assert handle.state() == "lost"
    asked = subprocess.run(["sacct", "-j", "100"], capture_output=True, text=True, check=True)
    assert "100|CANCELLED" in asked.stdout


def test_what_sbatch_refuses_is_one_message(cluster: Path, tmp_path: Path) -> None:
    refusal = "sbatch: error: invalid partition specified: nowhere"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 1\n")
    slurm = executor(partition="nowhere")
    with pytest.raises(UserError, match="invalid partition specified: nowhere"):
        slurm.start(job(tmp_path, "unit", "pass")).state()


SITES: dict[str, dict[str, Any]] = {
    "one_gpu": {"kind": "cuda:NVIDIA H200", "gpus": 1, "cpus": 8, "partition": "gpu"},
    "preemptible": {
        **{"kind": "cuda:NVIDIA A100", "gpus": 1, "partition": "scavenge", "qos": "low", "account": "lab"},
        **{"hours": 4, "signal_minutes": 5, "requeues": 50, "jobs": 8, "memory_gb": 64},
        **{"setup": ["module load cuda/12.8"], "sbatch": ["exclude=node7", "nice=100"]},
    },
    "four_gpus": {"kind": "cuda:NVIDIA H200", "gpus": 4, "cpus": 32, "constraint": "h200", "hours": 24},
}


@pytest.mark.parametrize("site", SITES)
def test_the_files_that_slurm_is_handed(
    site: str, cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SLURM_HOLD", "1")
    slurm = executor(**{"jobs": 16, **SITES[site]})
    for name in ("train seed 0", "train seed 1"):
        slurm.start(job(tmp_path, name, "pass"))
    slurm.start(job(tmp_path, "after", "pass", needs=("train seed 0", "train seed 1"))).state()
    handed = "\n".join(file.read_text() for file in sorted(cluster.glob("*.sh")))
    handed = handed.replace(str(tmp_path), "/shared").replace(sys.executable, "/env/bin/python")
    file = GOLDEN / f"{site}.sh"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(handed)
    assert handed == file.read_text()
    assert len(re.findall("^#!/bin/bash", handed, flags=re.MULTILINE)) == 2
    slurm.close()
