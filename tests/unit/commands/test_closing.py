"""The last four lines of a comparison."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import make_view

from harness.commands.closing import cost_line, next_line, print_closing, verdict_line
from harness.evidence.documents.comparison import build_report

EXAMPLE = Path(__file__).parents[3] / "reports" / "example"


@pytest.fixture
def data() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLE / "comparison.json").read_text())
    return found


def test_every_registered_answer_is_in_the_verdict(data: dict[str, Any]) -> None:
    for one, outcome in zip(data["questions"], ("better", "not worse", "not separable"), strict=False):
        margin = " within the margin of 5.00 points" if outcome == "not worse" else ""
        one |= {"outcome": outcome, "verdict": outcome + margin}
    line = verdict_line({**data, "warnings": []})
    assert line.startswith("Verdict: ORPO against SFT then DPO: ")
    assert line.count(", ") == len(data["questions"]) - 1
    for words in ("win rate better", "grade not worse within the margin of 5.00 points", "FLOPs better"):
        assert words in line
    assert "accuracy no clear difference" in line
    data["questions"][0] |= {"verdict": "not measured: it was not scored for both", "outcome": "not measured"}
    assert "win rate not measured, " in verdict_line(data)
    for name in ("win rate", "grade", "accuracy", "training time", "FLOPs"):
        assert f"{name} " in line


def test_one_seed_has_no_verdict_and_not_no_difference(data: dict[str, Any]) -> None:
    """The terminal said "no clear difference" one line above "324% of the training time"."""
    time = next(one for one in data["questions"] if one["quantity"] == "cost.wall_seconds")
    time["outcome"], time["verdict"] = "not separable", "not separable at n = 1: one seed has no interval"
    time["estimate"] |= {"low": None, "high": None, "reason": "one seed has no interval"}
    assert "training time no verdict (one seed has no interval)" in verdict_line(data)


def test_a_question_about_an_arm_that_was_left_out_names_it(data: dict[str, Any]) -> None:
    del data["arms"]["sft_dpo"]
    assert verdict_line(data).startswith("Verdict: ORPO against sft_dpo: ")


def test_quantities_that_would_be_called_alike_keep_their_benchmark(data: dict[str, Any]) -> None:
    one = data["questions"][0]
    data["questions"] = [one, {**one, "quantity": "mt_bench.win_rate"}]
    line = verdict_line(data)
    assert "alpaca_eval win rate" in line
    assert "mt_bench win rate" in line


def test_without_questions_it_is_exploratory(data: dict[str, Any]) -> None:
    assert "exploratory" in verdict_line({**data, "questions": []})
    assert verdict_line({**data, "questions": [], "evidence": []}).startswith("Verdict: none")


def test_the_gravest_warning_of_the_first_page_is_part_of_the_verdict(data: dict[str, Any]) -> None:
    warned = ["The arms were not on equal terms: epochs.", "Exploratory: scores were there.", "One seed."]
    line = verdict_line({**data, "warnings": warned})
    assert line.startswith("Verdict (exploratory): ")
    assert line.endswith("Warning: The arms were not on equal terms: epochs. (1 more on the page)")
    assert "Warning" not in verdict_line({**data, "warnings": []})


def test_the_report_hands_its_warnings_on() -> None:
    report = build_report(make_view())
    assert report.first is not None
    assert report.first.warnings
    assert report.data["warnings"] == list(report.first.warnings)


def test_costs_are_shares_of_the_reference(data: dict[str, Any]) -> None:
    reference, orpo = (data["arms"][arm]["cost"] for arm in ("sft_dpo", "orpo"))
    line = cost_line(data)
    assert f"ORPO took {orpo['relative']:.0%} of the training time" in line
    assert f"{orpo['flops'] / reference['flops']:.0%} of the FLOPs" in line
    assert "SFT took" not in line
    assert "not measured" in cost_line({**data, "cost_reference": "other"})


def test_what_to_type_next_follows_from_the_answers(data: dict[str, Any]) -> None:
    asked = "harness compare mine.yaml --seeds 3 --out elsewhere"
    data["provenance"]["command"] = asked
    assert "harness plan --power mine.yaml --seeds 3 --out elsewhere" in next_line(
        data, Path("elsewhere/run-1")
    )
    data["provenance"]["command"] = f"{asked} --until-decided"
    assert "harness trace" in next_line(data, Path("elsewhere/run-1"))
    data["provenance"]["command"] = asked
    data["provenance"]["command"] = f"{asked} --stage-timeout 60"
    assert "harness trace" in next_line(data, Path("elsewhere/run-1")), "a plan takes no such flag"
    data["provenance"]["command"] = asked
    for one in data["questions"]:
        one["outcome"] = "better"
    line = next_line(data, Path("elsewhere/run-1"))
    assert 'harness trace run-1 "main orpo" --out elsewhere' in line
    assert "--out" not in next_line(data, Path("runs/run-1"))
    assert next_line(data, Path("my runs/run-1")).partition("  (")[0].endswith(" --out 'my runs'")


@pytest.mark.parametrize("width", [80, 120, 500])
def test_four_lines_and_no_broken_word(width: int) -> None:
    heard = io.StringIO()
    print_closing(EXAMPLE, Console(file=heard, width=width, force_terminal=True, color_system=None))
    text = heard.getvalue()
    starts = [line.partition(":")[0] for line in text.splitlines() if ":" in line]
    assert [s for s in starts if s in ("Verdict", "Cost", "Page", "Next")] == [
        "Verdict",
        "Cost",
        "Page",
        "Next",
    ]
    assert f"Page: {(EXAMPLE / 'report.html').resolve().as_uri()}\n" in text
    if width == 500:
        assert len(text.splitlines()) == 4
    wide = io.StringIO()
    print_closing(EXAMPLE, Console(file=wide, width=40))
    assert text.split() == wide.getvalue().split()
