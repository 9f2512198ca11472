"""Published results straight to a report."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.commands import replay
from harness.errors import UserError

TRIAL = Path(os.environ.get("TRIAL_DATA", Path(__file__).parents[4] / "shared" / "data"))
NASTY = "<script>alert(1)</script> \\input{x} \u0007 | ~ \ud800"


def annotation(i: int, arm: str, preference: float | None, length: int = 20) -> dict[str, Any]:
    return {
        "instruction": f"question {i} {NASTY}",
        "output_1": "x" * 20,
        "output_2": "y" * length,
        "generator_1": "text_davinci_003",
        "generator_2": arm,
        "annotator": "alpaca_eval_gpt4",
        "preference": preference,
        "price_per_example": 0.01,
    }


def published(folder: Path) -> Path:
    folder.mkdir()
    for arm, share in (("sft", 5), ("dpo", 8)):
        rows = [annotation(i, arm, 2.0 if i % 10 < share else 1.0, 20 + i % 7) for i in range(40)]
        rows += [annotation(40, arm, 1.5), annotation(41, arm, None), annotation(0, arm, 2.0)]
        (folder / f"{arm}.annotations.json").write_text(json.dumps(rows))
    return folder


def data_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "latest" / "report" / "comparison.json").read_text())
    return found


def run(folder: Path, out: Path, **more: Any) -> dict[str, Any]:
    settings = {"name": None, "baseline": None, "mlflow": False, **more}
    assert replay.run(folder, out=out, **settings) == 0
    return data_of(out)


def test_win_rates_pairs_and_what_could_not_be_read(tmp_path: Path, capsys: Any) -> None:
    data = run(published(tmp_path / "results"), tmp_path / "runs", baseline="sft")
    rate = data["arms"]["dpo"]["scores"]["alpaca_eval"]["win_rate"]["estimate"]
    assert rate == pytest.approx((32 + 0.5 + 1) / 42)
    pair = next(e for e in data["evidence"] if e["quantity"] == "alpaca_eval.win_rate")
    assert {pair["a"], pair["b"]} == {"sft", "dpo"}
    assert pair["n"] == 42
    assert not any(e["quantity"].startswith("cost.") for e in data["evidence"])
    assert data["arms"]["dpo"]["cost"]["wall_seconds"] is None
    text = (tmp_path / "runs" / "latest" / "report" / "report.md").read_text()
    assert "Length-controlled win rates" in text
    assert "text\\_davinci\\_003" in text or "text_davinci_003" in text
    assert "Nothing was trained" in text


def test_a_second_replay_is_the_same(tmp_path: Path) -> None:
    folder = published(tmp_path / "results")
    first = run(folder, tmp_path / "runs")
    assert run(folder, tmp_path / "runs")["arms"] == first["arms"]


def test_the_arm_may_stand_first_and_folders_name_arms(tmp_path: Path) -> None:
    rows = [annotation(i, "other", 2.0) for i in range(12)]
    for row in rows:
        row["generator_1"], row["generator_2"] = "mine", "text_davinci_003"
    path = tmp_path / "results" / "mine" / "alpaca_eval_gpt4"
    path.mkdir(parents=True)
    (path / "annotations.json").write_text(json.dumps(rows))
    data = run(tmp_path / "results", tmp_path / "runs")
    assert data["arms"]["mine"]["scores"]["alpaca_eval"]["win_rate"]["estimate"] == 0


def samples(folder: Path, arm: str, right: int) -> None:
    target = folder / arm / "model"
    target.mkdir(parents=True)
    when = "2026-01-01T00-00-00.000000"
    rows = [
        {
            "doc_id": i,
            "doc_hash": "same" if i < 2 else f"d{i}",
            "prompt_hash": "p",
            "target_hash": "t",
            "acc": float(i < right),
            "metrics": ["acc"],
        }
        for i in range(6)
    ]
    (target / f"samples_arc_easy_{when}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    results = {
        "results": {"arc_easy": {"acc,none": right / 6}},
        "higher_is_better": {"arc_easy": {"acc": True}},
        "n-shot": {"arc_easy": 0},
        "versions": {"arc_easy": 1.0},
    }
    (target / f"results_{when}.json").write_text(json.dumps(results))


def test_lm_eval_folders_join_item_by_item(tmp_path: Path) -> None:
    samples(tmp_path / "results", "sft", 2)
    samples(tmp_path / "results", "orpo", 5)
    data = run(tmp_path / "results", tmp_path / "runs")
    pair = next(e for e in data["evidence"] if e["quantity"] == "lm_eval/arc_easy.acc")
    assert pair["n"] == 6, "duplicate documents join by their occurrence"
    assert abs(pair["estimate"]) == pytest.approx(0.5)
    assert data["arms"]["orpo"]["scores"]["lm_eval/arc_easy"]["acc"]["estimate"] == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{oops", "cannot be read"),
        ("[]", "holds no annotations"),
        ('[{"instruction": "a"}]', "annotation 0: output_1 is missing"),
    ],
)
def test_broken_files_are_one_message(tmp_path: Path, text: str, message: str) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.annotations.json").write_text(text)
    with pytest.raises(UserError, match=message):
        replay.run(folder, out=tmp_path / "runs", name=None, baseline=None, mlflow=False)
    assert not (tmp_path / "runs" / "latest").exists()


def test_nothing_to_replay_and_an_unknown_baseline(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds nothing to replay"):
        replay.run(tmp_path / "empty", out=tmp_path / "runs", name=None, baseline=None, mlflow=False)
    with pytest.raises(UserError, match='unknown arm "no"'):
        replay.run(published(tmp_path / "r"), out=tmp_path / "runs", name=None, baseline="no", mlflow=False)


@pytest.mark.skipif(not (TRIAL / "alpaca_replay").is_dir(), reason="no published annotations here")
def test_published_win_rates_come_out_exactly(tmp_path: Path) -> None:
    data = run(TRIAL / "alpaca_replay", tmp_path / "runs")
    rates = {arm: found["scores"]["alpaca_eval"]["win_rate"] for arm, found in data["arms"].items()}
    assert round(100 * rates["phi-2-sft"]["estimate"], 2) == 68.53
    assert round(100 * rates["phi-2-dpo"]["estimate"], 2) == 82.34
    pair = next(e for e in data["evidence"] if e["quantity"] == "alpaca_eval.win_rate")
    assert pair["low"] < pair["estimate"] < pair["high"]
    assert "better" in pair["verdict"] or "worse" in pair["verdict"]
    with (tmp_path / "runs" / "latest" / "report" / "tables" / "length_control.csv").open() as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    # alpaca_eval's own leaderboard lists 54.29 and 44.74; 99% of phi-2-dpo's answers are longer.
    own = {arm: round(100 * float(row["AlpacaEval's own (share)"]), 2) for arm, row in rows.items()}
    assert own == {"phi-2-dpo": 54.29, "phi-2-sft": 44.74}
    assert rows["phi-2-dpo"]["length-controlled (share)"] == ""
    assert "only 1.0% of 804 answers are no longer" in rows["phi-2-dpo"]["not measured"]
    assert 0.36 < float(rows["phi-2-sft"]["length-controlled low"]) < 0.37


def test_the_first_page_of_a_replay_is_exploratory_and_counts_ties(tmp_path: Path) -> None:
    run(published(tmp_path / "results"), tmp_path / "runs", baseline="sft")
    text = (tmp_path / "runs" / "latest" / "report" / "report.md").read_text()
    first = text.partition("\n## ")[0]
    assert "No question was registered, so every verdict is exploratory and unadjusted." in first
    assert "points" in first
    assert "not of training again" in first
    # Of 42 judgments per arm one is a tie; the 43rd could not be read, and both lack it.
    wins = text.partition("**Wins, ties and losses**")[2]
    assert "| 43 | 1 | 42 | 33 | 1 | 8 |" in wins
    assert "dpo 1 of 43; sft 1 of 43" in wins
