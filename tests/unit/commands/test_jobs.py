"""Commands about jobs that outlived the command which handed them over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("submitit")

from harness.commands import collect
from harness.commands.compare import _check_jobs
from harness.errors import UserError
from harness.executors.slurm import Slurm, places_of
from harness.pipeline.executor_spec import SlurmSpec
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.running.unit_files import asked_in, note_asked
from harness.store.run_dir import RunRoot

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides())
LOCAL = SlurmSpec(cluster="local", gpus=0, cpus=1)


@pytest.fixture
def living(tmp_path: Path) -> Path:
    """A root with a job of comparison `mine` that runs: this very process."""
    unit = tmp_path / "units" / "mine" / "train"
    unit.mkdir(parents=True)
    (unit / "job.json").write_text(json.dumps({"id": str(os.getpid()), "cluster": "local", "order": "1"}))
    return tmp_path


def test_another_comparison_waits_for_living_jobs(living: Path) -> None:
    slurm = Slurm(LOCAL, places_of(LOCAL))
    for spec, executor in (
        (SPEC, None),
        (SPEC, slurm),
        (SPEC.model_copy(update={"name": "mine"}), None),
    ):
        with pytest.raises(UserError, match=r"jobs of comparison mine are not over.*harness collect mine"):
            _check_jobs(RunRoot(living), spec, executor)
    _check_jobs(RunRoot(living), SPEC.model_copy(update={"name": "mine"}), slurm)


def test_jobs_that_are_over_stop_nobody(tmp_path: Path) -> None:
    unit = tmp_path / "units" / "mine" / "train"
    unit.mkdir(parents=True)
    (unit / "job.json").write_text(json.dumps({"id": "4194305", "cluster": "local", "order": "1"}))
    _check_jobs(RunRoot(tmp_path), SPEC, None)


def test_collect_becomes_the_command_that_began(
    living: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(collect.os, "execv", lambda path, words: became.append((words[1:], os.getcwd())))
    monkeypatch.chdir(tmp_path)
    slurm = Slurm(LOCAL, places_of(LOCAL))
    note_asked(living, "mine", slurm, "harness compare mine.yaml --set 'executor.jobs=2' --out runs")
    monkeypatch.chdir("/")
    assert list(asked_in(living)) == ["mine"]
    collect.run(None, out=living)
    words = ["-m", "harness", "compare", "mine.yaml", "--set", "executor.jobs=2", "--out", "runs"]
    assert became == [(words, str(tmp_path))]
    assert f"mine: job {os.getpid()}: running" in capsys.readouterr().out


def test_collect_says_what_it_cannot_do(living: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no comparison with jobs"):
        collect.run(None, out=tmp_path / "nowhere")
    slurm = Slurm(LOCAL, places_of(LOCAL))
    note_asked(living, "mine", slurm, "harness.compare('mine.yaml')")
    with pytest.raises(UserError, match="began from Python"):
        collect.run("mine", out=living)
    with pytest.raises(UserError, match="mine"):
        collect.run("yours", out=living)
    note_asked(living, "yours", slurm, "harness compare")
    with pytest.raises(UserError, match="several comparisons have jobs"):
        collect.run(None, out=living)
