"""A sweep through the command line: points run, one report says all, and a second run trains nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e.test_compare import harness


@pytest.mark.slow
@pytest.mark.longest
def test_a_sweep_runs_reports_and_runs_again_for_nothing(tmp_path: Path) -> None:
    only = ("--set", "sweep={data.limit: [64, 96]}", "--set", "data.test_limit=40", "--seeds", "2")
    command = ("compare", "phase", *only, "--no-mlflow", "--out", str(tmp_path))
    done = harness(*command, timeout=420)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Point 2 of 2: data.limit 96; about" in done.stdout
    folder = next(tmp_path.glob("phase-sweep-*"))
    told = json.loads((folder / "report" / "comparison.json").read_text())
    assert [point["settings"]["data.limit"] for point in told["points"]] == [64, 96]
    assert {contest["quantity"] for contest in told["contests"]} == {"preference.accuracy"}
    for name in ("report.html", "report.md", "tables/phase_1.csv", "tables/points.tex"):
        assert (folder / "report" / name).is_file(), name
    again = harness(*command, timeout=120)
    assert again.returncode == 0, again.stderr + again.stdout
    assert "loss" not in again.stdout, "nothing trains again"
    assert [one.name for one in tmp_path.glob("phase-sweep-*")] == [folder.name]
    (folder / "report" / "report.md").unlink()
    assert harness("report", folder.name, "--out", str(tmp_path)).returncode == 0
    assert "of 2 points" in (folder / "report" / "report.md").read_text()
    record = folder / "sweep.json"
    record.write_text(record.read_text().replace("64", "65"))
    broken = harness("report", folder.name, "--out", str(tmp_path))
    assert broken.returncode == 2
    assert "changed after it was written" in broken.stderr


def test_a_sweep_is_not_run_again_in_part(tmp_path: Path) -> None:
    done = harness("compare", "phase", "--again", "orpo", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "--again is not for a sweep" in done.stderr
    assert not list(tmp_path.iterdir())
