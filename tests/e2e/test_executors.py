"""A tiny comparison on several devices, with real workers: the same scores wherever it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.jsonl import read_jsonl

ROOT = Path(__file__).parents[2]
TINY = ["--set", "data.limit=64", "--set", "data.test_limit=20", "--seeds", "2", "--score", "preference"]
TINY += ["--arms", "sft,orpo", "--set", "baseline=sft", "--set", "cost_reference=sft"]
TINY += ["--set", "questions=[]"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores"),
]


def started(out: Path, executor: str, *arguments: str) -> subprocess.Popen[str]:
    words = ["compare", *TINY, "--set", f"executor={executor}", "--out", str(out), *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        # Who runs the tests may have signals ignored, which a child inherits.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def compared(out: Path, executor: str, *arguments: str) -> str:
    return ended(started(out, executor, *arguments))


def ended(command: subprocess.Popen[str]) -> str:
    said, _ = command.communicate(timeout=800)
    assert command.returncode == 0, said
    return said


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "latest" / "record.json").read_bytes())["results"]
    return found


def scores(out: Path) -> list[Any]:
    return sorted(
        (one["name"], score["benchmark"], score["metric"], score["estimate"])
        for one in results(out).values()
        for score in one["scores"]
    )


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: Any) -> Path:
    """Stopped in the middle of training as by Ctrl-C; gone on with by two workers on cores of their own."""
    out = Path(tmp_path_factory.mktemp("two"))
    command = started(out, "{name: local, devices: 2}")
    wait_until(lambda: list(out.glob("units/*/*train_seed*/events.jsonl")), command)
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=120)
    assert "interrupted; finished stages are kept" in said
    assert workers_in(out) == []
    command = started(out, "{name: local, devices: 2}")
    wait_until(lambda: work_side_by_side(out), command)
    ended(command)
    return out


SLURM = "{name: slurm, cluster: local, gpus: 0, cpus: 1, jobs: 2, poll_seconds: 1}"


def wait_until(holds: Callable[[], object], command: subprocess.Popen[str], seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        assert command.poll() is None, command.communicate()[0]
        time.sleep(0.05)


def test_slurm_jobs_are_preempted_left_and_collected_with_the_same_scores(
    on_two: Path, tmp_path: Path
) -> None:
    pytest.importorskip("submitit")
    command = started(tmp_path, SLURM)
    begun = {"event": "begins"}

    def training() -> list[Path]:
        units = tmp_path.glob("units/embedded/train_seed*/events.jsonl")
        return [file for file in units if any(begun.items() <= row.items() for row in events(file))]

    wait_until(training, command)
    unit = training()[0].parent
    controller = json.loads((unit / "job.json").read_text())["id"]
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", controller], capture_output=True, text=True)
    os.kill(int(listed.stdout), signal.SIGUSR2)
    wait_until(lambda: sum(row["event"] == "begins" for row in events(unit / "events.jsonl")) > 1, command)
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=60)
    assert command.returncode == 130, said
    assert "go on without this command" in said
    assert "harness collect embedded" in said
    collected = subprocess.run(
        [sys.executable, "-m", "harness", "collect", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=800,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert collected.returncode == 0, collected.stderr + collected.stdout
    assert scores(tmp_path) == scores(on_two)
    ledgers = [one["ledger"] for one in results(tmp_path).values()]
    interrupted = [m["value"] for ledger in ledgers for m in ledger if m["quantity"] == "interruptions"]
    assert sum(value or 0 for value in interrupted) == 1
    assert not (tmp_path / "units").exists()


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]


def workers_in(out: Path) -> list[int]:
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line for line in listed.splitlines() if "harness.running.worker" in line and str(out) in line]
    return [int(row.split()[0]) for row in rows]


def work_side_by_side(out: Path) -> bool:
    """Two workers live, and no core is given to both."""
    try:
        cores = [os.sched_getaffinity(worker) for worker in workers_in(out)]
    except ProcessLookupError:
        return False
    return len(cores) == 2 and not cores[0] & cores[1]


def test_blocks_run_side_by_side_on_cores_of_their_own(on_two: Path) -> None:
    """That they do is waited for while they run; here is what they leave."""
    trained = {one["name"] for one in results(on_two).values() if one["kind"] == "train"}
    assert {"orpo/orpo@0", "orpo/orpo@1"} <= trained
    assert not (on_two / "units").exists()
    assert (on_two / "mlflow.db").is_file()


def test_all_is_reused_by_the_same_command(on_two: Path) -> None:
    assert compared(on_two, "{name: local, devices: 2}").count("reused, finished") == len(results(on_two))


def test_ray_scores_the_same_bit_for_bit(on_two: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    compared(tmp_path, "{name: ray, address: local, cpus: 1}", "--no-mlflow")
    assert scores(tmp_path) == scores(on_two)
    for digest, one in results(on_two).items():
        if one["kind"] == "train":
            losses = [
                [row["metrics"].get("loss") for row in read_jsonl(out / "stages" / digest / "steps.jsonl")]
                for out in (on_two, tmp_path)
            ]
            assert losses[0] == losses[1]
