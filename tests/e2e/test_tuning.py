"""A tuned comparison as a user runs it: killed half way, gone on, and trained with what was found."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from e2e.test_compare import ROOT, harness

from harness.running.tuning import settings_of
from harness.store.run_dir import read_record

FEW = ("--set", "data.limit=64", "--set", "data.test_limit=20", "--set", "tuning.budget.amount=2")
COMMAND = ("compare", "tuned", *FEW, "--seeds", "1", "--score", "preference")


def killed_in_the_second_round(out: Path) -> None:
    """`kill -9` of the command once a stage of the second round has ended."""
    asked = [sys.executable, "-m", "harness", *COMMAND, "--out", str(out)]
    began = time.monotonic()
    with subprocess.Popen(
        asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as command:
        assert command.stdout is not None
        for line in command.stdout:
            assert time.monotonic() - began < 280
            if "sft/sft of trial 2: " in line:
                os.kill(command.pid, signal.SIGKILL)
                break


def results(out: Path) -> dict[str, str]:
    """When each finished stage ended."""
    found = [json.loads(file.read_text()) for file in out.glob("stages/*/result.json")]
    return {one["digest"]: one["finished_at"] for one in found}


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(900)
def test_it_goes_on_after_a_kill_and_trains_the_winners(tmp_path: Path) -> None:
    killed_in_the_second_round(tmp_path)
    before = results(tmp_path)
    assert before
    assert not list(tmp_path.glob("*/record.json"))
    done = harness(*COMMAND, "--out", str(tmp_path), timeout=420)
    assert done.returncode == 0, done.stderr + done.stdout
    after = results(tmp_path)
    assert {digest: after[digest] for digest in before} == before, "nothing that was finished ran again"
    record = read_record(tmp_path / "latest")
    assert record.tuning is not None
    assert [(trial.arm, trial.number) for trial in record.tuning.trials] == [
        (arm, number) for arm in ("sft", "sft_dpo", "orpo") for number in (1, 2)
    ]
    assert all(trial.score is not None and trial.flops for trial in record.tuning.trials)
    tried = {digest for trial in record.tuning.trials for digest in [*trial.stages, trial.evaluate]}
    assert tried <= set(after)
    assert not tried & set(record.results)
    best = settings_of(record.tuning)
    for cell in record.plan.cells:
        for digest in cell.stages:
            stage = record.plan.stages[digest]
            drawn = best[cell.arm][stage.config["method"]]
            assert {key: stage.config["config"][key] for key in drawn} == drawn
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        told = database.execute("select count(*) from tags where key='harness.kind' and value='trial'")
        assert told.fetchone() == (6,)
