"""A tiny comparison on several devices, with real workers: the same scores wherever it runs."""

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

from harness.jsonl import read_jsonl

ROOT = Path(__file__).parents[2]
TINY = ["--set", "data.limit=64", "--set", "data.test_limit=20", "--seeds", "2", "--score", "preference"]
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
    command = started(out, executor, *arguments)
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
    """Stopped in the middle of training as by Ctrl-C, and gone on with."""
    out = Path(tmp_path_factory.mktemp("two"))
    command = started(out, "{name: local, devices: 2}")
    while not list(out.glob("units/*/*train_seed*/events.jsonl")) and command.poll() is None:
        time.sleep(0.1)
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=120)
    assert "interrupted; finished stages are kept" in said
    assert workers_in(out) == []
    compared(out, "{name: local, devices: 2}")
    return out


def workers_in(out: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "harness.running.worker" in line and str(out) in line]


def test_blocks_run_side_by_side_on_cores_of_their_own(on_two: Path) -> None:
    trained = [one for one in results(on_two).values() if one["kind"] == "train"]
    spans = {
        seed: (
            min(one["started_at"] for one in trained if one["seed"] == seed),
            max(one["finished_at"] for one in trained if one["seed"] == seed),
        )
        for seed in (0, 1)
    }
    assert max(begin for begin, _ in spans.values()) < min(end for _, end in spans.values())
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
