"""Commands that read finished runs: check, trace, diff, report of several, power, calibrate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.commands.test_replay import published, run

from harness.commands import calibrate, check, diff, power, trace
from harness.commands import report as report_command
from harness.errors import UserError
from harness.pipeline.overrides import Overrides

CLAIM = """
claims:
  - id: dpo_beats_sft
    statement: DPO beats SFT.
    source: made
    quantity: alpaca_eval.win_rate
    a: {a}
    b: {b}
    expected: [0, null]
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    run(published(tmp_path / "results"), tmp_path / "runs", baseline="sft")
    return tmp_path / "runs"


@pytest.mark.parametrize(("a", "b", "code"), [("dpo", "sft", 0), ("sft", "dpo", 1)])
def test_check_exits_with_1_where_a_claim_is_contradicted(
    a: str, b: str, code: int, out: Path, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIM.format(a=a, b=b))
    assert check.run("latest", path, out=out) == code
    said = capsys.readouterr().out
    assert ("1 contradicted" in said) is bool(code)
    with pytest.raises(UserError, match="no such file"):
        check.run("latest", tmp_path / "none.yaml", out=out)


def test_trace_leads_to_the_stage_and_the_judge(out: Path, capsys: Any) -> None:
    capsys.readouterr()
    assert trace.run("latest", "scores win_rate dpo", out=out) == 0
    said = capsys.readouterr().out
    assert "replay: judge" in said
    assert "judge alpaca_eval_gpt4" in said
    with pytest.raises(UserError, match='unknown table "scoress"; did you mean "scores"'):
        trace.run("latest", "scoress", out=out)
    with pytest.raises(UserError, match=r'unknown table ""; known: .*scores'):
        trace.run("latest", "", out=out)
    with pytest.raises(UserError, match='answers to "nothing here"'):
        trace.run("latest", "scores nothing here", out=out)


def test_diff_of_two_runs_names_what_changed(out: Path, tmp_path: Path, capsys: Any) -> None:
    first = json.loads((out / "latest" / "record.json").read_text())["id"]
    run(published(tmp_path / "again"), out, baseline="dpo")
    second = json.loads((out / "latest" / "record.json").read_text())["id"]
    capsys.readouterr()
    assert diff.run(first, second, out=out) == 0
    said = capsys.readouterr().out
    assert "baseline" in said
    assert diff.run(first, first, out=out) == 0
    assert "equal in settings" in capsys.readouterr().out


def test_one_report_of_two_runs(out: Path, tmp_path: Path, capsys: Any) -> None:
    first = json.loads((out / "latest" / "record.json").read_text())["id"]
    run(published(tmp_path / "others"), out, baseline="sft")
    second = json.loads((out / "latest" / "record.json").read_text())["id"]
    capsys.readouterr()
    assert report_command.run_many([first, second], out=out, format_name=None) == 0
    folder = Path(capsys.readouterr().out.strip()).parent
    assert (folder / "report.html").stat().st_size > 1000
    assert set(json.loads((folder / "comparison.json").read_text())["runs"]) == {first, second}
    with pytest.raises(UserError, match=rf"count seeds twice: {first} is given twice \(seed 0\); give one"):
        report_command.run_many([first, "latest", first], out=out, format_name=None)


def test_power_before_the_run_and_without_an_earlier_one(tmp_path: Path, capsys: Any) -> None:
    assert power.run("embedded", Overrides(seeds="5"), out=tmp_path, like="latest") == 0
    said = capsys.readouterr().out
    assert "What 5 seed(s) can find" in said
    assert "1.68" in said
    with pytest.raises(UserError, match='no finished run "nope"'):
        power.run("embedded", Overrides(), out=tmp_path, like="nope")
    path = tmp_path / "silent.yaml"
    path.write_text(Path("pipelines/embedded.yaml").read_text().partition("# What the run")[0])
    with pytest.raises(UserError, match="asks no questions"):
        power.run(str(path), Overrides(), out=tmp_path, like="latest")


@pytest.mark.slow
def test_calibrate_prints_the_grid(capsys: Any) -> None:
    code = calibrate.run(100)
    printed = " ".join(capsys.readouterr().out.split())
    counts = re.search(r"(\d+) of (\d+) cells hold", printed)
    assert counts is not None
    assert (code == 0) is (counts[1] == counts[2])
    assert "DOES NOT" in printed
    assert code == 1
