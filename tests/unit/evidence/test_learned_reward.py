"""What a report says of a learned reward, and of a policy that exploits one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view, measured

from harness.evidence.documents.comparison import build_report
from harness.evidence.sections.ledger import ledger_table
from harness.evidence.sections.reward import earned_table, worth_table
from harness.evidence.view import ComparisonView
from harness.records import RewardFacts, TrainFacts

PHASES = ("rollout_seconds", "rollout_reference_seconds", "rollout_reward_seconds")


def rewarded(*, grades: bool = True) -> ComparisonView:
    """The made comparison, whose SFT trained a reward too and whose DPO answered prompts itself."""
    view = make_view(seeds=(0,))
    results, series = dict(view.record.results), dict(view.series)
    worth: dict[str, Any] = {"pairs": 40, "ordered": 0.75}
    if grades:
        worth |= {"graded_pairs": 30, "ordered_as_graded": 0.9}
    for digest, facts in (("sft0", RewardFacts(**worth)), ("dpo0", RewardFacts(weights="w"))):
        known = results[digest].facts_as(TrainFacts).model_copy(update={"reward": facts})
        results[digest] = results[digest].model_copy(update={"facts": known})
    ledger = [*results["dpo0"].ledger, *(measured(name, 7.0, "s") for name in PHASES)]
    results["dpo0"] = results["dpo0"].model_copy(update={"ledger": ledger})
    steps = []
    for step in range(10):
        metrics = {"reward": float(step), "kl": 0.1, "completion_length": 5.0}
        metrics |= {"judge_grade": 0.9 - step / 20} if grades else {}
        steps.append({"step": step + 1, "metrics": metrics})
    series["dpo0"] = [*series["dpo0"], *steps]
    return replace(view, record=view.record.model_copy(update={"results": results}), series=series)


def row_of(table: Any, number: int = 0) -> dict[str, Any]:
    return dict(zip(table.columns, table.rows[number], strict=True))


def test_a_reward_model_is_held_against_labels_and_judge() -> None:
    table = worth_table(rewarded())
    assert len(table.rows) == 1, "a stage that reads a reward trained none"
    row = row_of(table)
    assert row["ordered as labelled"].value == 0.75
    assert (row["graded apart"].value, row["ordered as graded"].value) == (30, 0.9)


def test_a_reward_that_rises_while_the_grade_falls_is_seen() -> None:
    row = row_of(earned_table(rewarded()))
    assert (row["learned reward: start"].value, row["learned reward: end"].value) == (0.5, 8.5)
    assert row["judge's grade: start"].value == pytest.approx(0.875)
    assert row["judge's grade: end"].value == pytest.approx(0.475)
    assert row["their correlation: end"].reason == "no judge knows these data by its own rules"


def test_without_a_judge_the_grade_is_absent_with_a_reason() -> None:
    view = rewarded(grades=False)
    assert row_of(worth_table(view))["ordered as graded"].reason is not None
    assert row_of(earned_table(view))["judge's grade: end"].value is None


def test_the_section_stands_where_there_is_a_reward_alone() -> None:
    titles = [section.title for section in build_report(rewarded()).sections]
    assert "The learned reward" in titles
    assert "The learned reward" not in [s.title for s in build_report(make_view(seeds=(0,))).sections]


def test_the_ledger_has_what_own_answers_took() -> None:
    table = ledger_table(rewarded())
    by_stage = {str(row[0].value): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert by_stage["sft_dpo/dpo@0"]["own answers"].value == 7.0
    assert by_stage["orpo/orpo@0"]["own answers"].value == "none"
    assert "train + own answers + their reference log-probs + their rewards + save" in table.notes[0]
    assert "own answers" not in ledger_table(make_view(seeds=(0,))).columns
