"""`import harness`: light, and the figures of a run as DataFrames that agree with its report."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from unit.commands.test_replay import published
from unit.commands.test_replay import run as replay

import harness
from harness.commands import compare as compare_command
from harness.commands import paper as command
from harness.commands import report as report_command
from harness.errors import UserError
from harness.pipeline.overrides import parse_seeds, parse_setting
from harness.store.run_dir import read_record
from perf.report import make_store

SEEDS = 2


@pytest.fixture(scope="module")
def out(tmp_path_factory: Any) -> Path:
    folder = Path(tmp_path_factory.mktemp("runs"))
    record = make_store(folder, SEEDS)
    report_command.run(record.id, out=folder, format_name=None)
    return folder


@pytest.fixture(scope="module")
def run(out: Path) -> harness.Run:
    return harness.load_run("latest", out=out)


def test_import_harness_is_light() -> None:
    code = (
        "import sys, harness\n"
        "heavy = {'torch', 'pandas', 'mlflow', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert callable(harness.compare)\n"
        "heavy = {'torch', 'transformers', 'trl', 'pandas', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'compair'"):
        _ = harness.compair  # type: ignore[attr-defined]


def test_scores_are_those_of_the_record(run: harness.Run, out: Path) -> None:
    scores = run.scores
    assert set(scores["arm"]) == {"sft", "sft_dpo", "orpo", "sft_dpo_precomputed"}
    assert len(scores) == 4 * SEEDS * 2
    for row in scores.itertuples():
        result = json.loads((out / "latest" / "record.json").read_text())["results"][row.digest]
        (score,) = [s for s in result["scores"] if s["metric"] == row.metric]
        assert (row.value, row.n, row.benchmark) == (score["estimate"], score["n"], "preference")
    assert set(scores[scores.metric == "accuracy"].unit) == {"1"}
    assert scores[scores.metric == "margin"].unit.isna().all()


def test_costs_charge_a_shared_stage_to_every_arm(run: harness.Run) -> None:
    costs = run.costs
    seconds = costs[costs.quantity == "wall_seconds"]
    assert set(seconds.unit) == {"s"}
    arms = seconds[seconds.seed == 0].groupby("arm")["value"].sum()
    assert arms.to_dict() == {"sft": 10, "sft_dpo": 40, "orpo": 25, "sft_dpo_precomputed": 39}
    assert list(seconds[(seconds.arm == "sft_dpo") & (seconds.seed == 1)]["stage"]) == ["sft", "dpo"]
    absent = costs[costs.quantity == "energy_joules"]
    assert absent.value.isna().all()
    assert set(absent.reason) == {"no CUDA device"}


def test_evidence_and_tables_agree_with_what_the_report_wrote(run: harness.Run, out: Path) -> None:
    written = json.loads((out / "latest" / "report" / "comparison.json").read_text())["evidence"]
    assert [
        tuple(row) for row in run.evidence[["quantity", "a", "b", "verdict"]].itertuples(index=False)
    ] == [(e["quantity"], e["a"], e["b"], e["verdict"]) for e in written]
    files = {path.stem for path in (out / "latest" / "report" / "tables").glob("*.csv")}
    assert set(run.tables) == files
    for name in run.tables:
        with (out / "latest" / "report" / "tables" / f"{name}.csv").open(
            encoding="utf-8", newline=""
        ) as source:
            header, *rows = csv.reader(source)
        frame = run.table(name)
        assert list(frame.columns) == header
        assert len(set(header)) == len(header), name
        assert len(frame) == len(rows)


def test_a_table_holds_numbers_in_base_units_and_the_stages_behind_them(run: harness.Run) -> None:
    main = run.table("main")
    column = next(c for c in main.columns if c.endswith("(s)"))
    assert main[column].dtype == float
    assert main["stage digests"].str.contains("orpo0").any()


def test_a_paper_is_what_the_command_writes(run: harness.Run, out: Path, tmp_path: Path) -> None:
    written = run.paper(tmp_path / "mine", rows=["orpo"], columns=["flops"])
    command.run([str(run.folder)], out=out, to=tmp_path / "cli", rows=["orpo"], columns=["flops"])
    for path in sorted((tmp_path / "cli").rglob("*")):
        if path.is_file():
            assert (written / path.relative_to(tmp_path / "cli")).read_bytes() == path.read_bytes()
    with pytest.raises(UserError, match='unknown column "flop"; did you mean "flops"'):
        run.paper(tmp_path / "mine", columns=["flop"])


def test_an_unknown_table_or_run_is_one_message(run: harness.Run, out: Path) -> None:
    with pytest.raises(UserError, match=r'unknown table "mian"; did you mean "main"\? known: .*ledger'):
        run.table("mian")
    with pytest.raises(UserError, match=r'no finished run "nope"; known: made-0123456789'):
        harness.load_run("nope", out=out)


def test_a_run_is_opened_by_its_folder_and_shows_itself(run: harness.Run, out: Path) -> None:
    again = harness.load_run(out / run.id)
    assert again.id == run.id
    assert again.report() == out / run.id / "report" / "report.html"
    assert again.report().is_file()
    page = again._repr_html_()
    assert "report.html" in page
    assert len(page) < 2000
    assert repr(again).startswith("<Run made-0123456789: made, sft, sft_dpo")


def test_arguments_mean_what_the_flags_mean(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    """`compare` hands on what the command line would have parsed, and opens the run that it made."""
    calls: list[tuple[Any, ...]] = []
    made_before = read_record(out / "latest")

    def run_comparison(*arguments: Any, **more: Any) -> Any:
        calls.append((*arguments, more))
        return made_before

    monkeypatch.setattr(compare_command, "run_comparison", run_comparison)
    settings = {"stages.dpo.beta": 0.05, "training.lora": {"r": 4}, "data.limit": None, "x": [1e-5]}
    made = harness.compare("embedded", arms=["orpo"], seeds=[3], set=settings, out=out, again=["sft"])
    assert made.id == made_before.id
    ((name, overrides, more),) = calls
    assert (name, overrides.arms, more["again"], more["out"]) == ("embedded", ["orpo"], ["sft"], out)
    assert parse_seeds(overrides.seeds) == [3]
    assert {".".join(k): v for k, v in map(parse_setting, overrides.sets)} == settings
    assert more["command"].startswith("harness.compare('embedded', arms=['orpo'], seeds=[3], set={")
    harness.compare(seeds=2, out=out)
    assert parse_seeds(calls[-1][1].seeds) == [0, 1]
    monkeypatch.setattr(
        compare_command, "run_until_decided", lambda *a, **more: run_comparison("looks", **more)
    )
    harness.compare(until_decided=True, out=out)
    assert calls[-1][0] == "looks"
    assert calls[-1][-1]["command"] == "harness.compare(None, until_decided=True)"


def test_frames_are_pandas_with_the_stages_behind_them(run: harness.Run) -> None:
    for frame in (run.scores, run.costs, run.evidence, run.table("ledger")):
        assert isinstance(frame, pd.DataFrame)
        assert len(frame) > 0
        assert {"stages", "digest", "stage digests"} & set(frame)


def test_a_replayed_run_has_scores_and_no_costs(tmp_path: Path) -> None:
    replay(published(tmp_path / "results"), tmp_path / "runs", baseline="sft")
    run = harness.load_run(out=tmp_path / "runs")
    assert set(run.scores.arm) == {"sft", "dpo"}
    assert len(run.costs) == 0
    assert "quantity" in run.costs
    assert set(run.evidence[run.evidence.quantity == "alpaca_eval.win_rate"].unit) == {"1"}
