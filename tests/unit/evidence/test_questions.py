"""Questions written down before the run: verdicts in words, families, and what spoils a registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.errors import UserError
from harness.evidence.answers import answers
from harness.evidence.sections.questions import not_first, questions_table
from harness.evidence.view import ComparisonView
from harness.pipeline.load import load_comparison
from harness.pipeline.registration import changed_since, file_digest
from harness.records import Score


def asked(view: ComparisonView, *questions: dict[str, Any]) -> ComparisonView:
    full = [{"a": "orpo", "b": "sft_dpo", "margin": None, **q} for q in questions]
    plan = view.record.plan.model_copy(update={"spec": {**view.record.plan.spec, "questions": full}})
    return ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series)


def with_scores(orpo: list[float], sft_dpo: list[float]) -> ComparisonView:
    """Seeds of 20 items each, all of which have the seed's mean but for a small spread."""
    view = make_view()
    seeds = list(range(len(orpo)))
    spec = {**view.record.plan.spec, "seeds": seeds}
    cells = [
        cell.model_copy(update={"seed": seed})
        for cell in view.record.plan.cells
        if cell.seed == view.seeds[0]
        for seed in seeds
    ]
    plan = view.record.plan.model_copy(update={"spec": spec, "cells": cells})
    items = {
        f"{arm}@{seed}": {"preference.accuracy": {f"i{i}": mean + 0.001 * i for i in range(20)}}
        for arm, means in (("orpo", orpo), ("sft_dpo", sft_dpo))
        for seed, mean in enumerate(means)
    }
    return ComparisonView(view.record.model_copy(update={"plan": plan}), items, view.series)


CASES = {
    "better": ([0.80, 0.82, 0.81, 0.80], [0.70, 0.71, 0.70, 0.71], 0.05, "better"),
    "worse": ([0.60, 0.61, 0.60, 0.62], [0.70, 0.71, 0.70, 0.71], 0.05, "worse"),
    "slightly worse": (
        [0.699, 0.708, 0.697, 0.706],
        [0.71, 0.72, 0.71, 0.72],
        0.05,
        "worse, by less than the margin of 5.00 points",
    ),
    "not worse": (
        [0.70, 0.715, 0.699, 0.711],
        [0.71, 0.70, 0.705, 0.71],
        0.05,
        "not worse within the margin of 5.00 points, and the same within it",
    ),
    "unclear": ([0.70, 0.80, 0.65, 0.75], [0.71, 0.70, 0.70, 0.71], 0.05, "not separable at n = 4"),
    "identical": ([0.70, 0.71], [0.70, 0.71], 0.05, "identical"),
}


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name: str) -> None:
    orpo, sft_dpo, margin, said = CASES[name]
    view = asked(with_scores(orpo, sft_dpo), {"quantity": "preference.accuracy", "margin": margin})
    (one,) = answers(view)
    assert one.verdict.text.startswith(said)
    if name == "unclear":
        assert "minimum detectable effect" in one.verdict.text


def test_a_question_from_the_other_side_is_turned() -> None:
    orpo, sft_dpo, margin, _ = CASES["better"]
    question = {"quantity": "preference.accuracy", "a": "sft_dpo", "b": "orpo", "margin": margin}
    (one,) = answers(asked(with_scores(orpo, sft_dpo), question))
    assert one.verdict.text == "worse"
    assert one.estimate.value == pytest.approx(-0.1025)


def test_families_adjust_and_absent_ones_say_why() -> None:
    orpo, sft_dpo, margin, _ = CASES["better"]
    view = with_scores(orpo, sft_dpo)
    (alone,) = answers(asked(view, {"quantity": "preference.accuracy"}))
    several = answers(
        asked(
            view,
            {"quantity": "preference.accuracy", "margin": margin},
            {"quantity": "rubric.grade"},
            {"quantity": "preference.accuracy", "a": "orpo", "b": "kto"},
        )
    )
    assert alone.p is not None
    assert several[0].p == pytest.approx(3 * alone.p)
    assert [a.verdict.text for a in several[1:]] == [
        "not measured: rubric.grade was not scored for both",
        "not measured: kto is not in this comparison",
    ]
    table = questions_table(view, several)
    assert table is not None
    assert len(table.rows) == 3


def with_seconds(**of_arms: list[float]) -> ComparisonView:
    """The made comparison with each arm's last stage taking these seconds, one a seed."""
    view = make_view(seeds=tuple(range(len(next(iter(of_arms.values()))))))
    results = dict(view.record.results)
    for arm, seconds in of_arms.items():
        for cell, value in zip(view.cells_of(arm), seconds, strict=True):
            stage = results[cell.stages[-1]]
            ledger = [
                m.model_copy(update={"value": value}) if m.quantity == "wall_seconds" else m
                for m in stage.ledger
            ]
            results[stage.digest] = stage.model_copy(update={"ledger": ledger})
    return ComparisonView(view.record.model_copy(update={"results": results}), view.items, view.series)


@pytest.mark.parametrize(("a", "b", "said"), [("orpo", "sft", "worse"), ("sft", "orpo", "better")])
def test_less_time_is_better(a: str, b: str, said: str) -> None:
    view = with_seconds(orpo=[25.0, 26.0, 24.5, 25.5], sft=[10.0, 10.2, 9.9, 10.1])
    (one,) = answers(asked(view, {"quantity": "cost.wall_seconds", "a": a, "b": b, "margin": 0.05}))
    assert (one.verdict.outcome, one.is_cost) == (said, True)
    assert one.estimate.value == pytest.approx(2.5 if a == "orpo" else 0.4, rel=0.02)


def test_counted_costs_are_values_and_not_tested() -> None:
    (flops,) = answers(asked(make_view(), {"quantity": "cost.flops"}))
    assert (flops.verdict.text, flops.p, flops.p_not_worse) == ("better", None, None)
    (memory,) = answers(asked(make_view(), {"quantity": "cost.peak_memory_bytes"}))
    assert (memory.verdict.text, memory.p) == ("not judged on CPU", None)


def test_margins_are_adjusted_over_the_family() -> None:
    orpo, sft_dpo, margin, _ = CASES["not worse"]
    view, question = with_scores(orpo, sft_dpo), {"quantity": "preference.accuracy", "margin": margin}
    (alone,) = answers(asked(view, question))
    assert alone.verdict.outcome == "not worse"
    assert alone.p_not_worse is not None
    count = int(0.025 / alone.p_not_worse) + 1
    several = answers(asked(view, *[question] * count))
    assert {one.verdict.outcome for one in several} == {"not separable"}
    assert several[0].p_not_worse == pytest.approx(count * alone.p_not_worse)


def test_results_that_were_there_first_spoil_a_registration() -> None:
    view = make_view()
    assert not_first(view) == ()
    scored = str(view.record.plan.cells[0].evaluate)
    uses = {**view.record.uses}
    uses[scored] = uses[scored].model_copy(update={"reused_from": "embedded-123"})
    spoilt = ComparisonView(view.record.model_copy(update={"uses": uses}), view.items, view.series)
    assert (
        "NOT registered first: 1 scoring stage(s) of these arms come from embedded-123"
        in not_first(spoilt)[0]
    )


def test_a_file_changed_after_the_run_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("questions:\n  - {quantity: rubric.grade, margin: 0.05}\n")
    question = {"quantity": "rubric.grade", "a": "orpo", "b": "sft_dpo", "margin": 0.05}
    view = asked(make_view(), question)
    record = view.record.model_copy(update={"file": str(path), "file_digest": file_digest(path)})
    assert changed_since(record) is None
    path.write_text(path.read_text() + "# a remark\n")
    assert "though not its questions" in str(changed_since(record))
    path.write_text("questions:\n  - {quantity: rubric.grade, margin: 0.50}\n")
    assert "its questions too" in str(changed_since(record))
    path.write_text("[")
    assert "its questions too" in str(changed_since(record))
    path.unlink()
    assert changed_since(record) is None


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        ("cost.walls", 'unknown cost "walls"'),
        ("rubic.grade", 'unknown benchmark "rubic"; did you mean "rubric"'),
        ("rubric", "names no metric"),
    ],
)
def test_a_question_that_no_run_can_answer(quantity: str, message: str, tmp_path: Path) -> None:
    text = Path("pipelines/embedded.yaml").read_text().partition("questions:")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(f"{text}questions:\n  - {{quantity: {quantity}}}\n")
    with pytest.raises(UserError, match=message) as error:
        load_comparison(path)
    assert "mine.yaml:" in str(error.value)


def test_scores_without_a_direction_are_higher_or_lower() -> None:
    orpo, sft_dpo, margin, _ = CASES["better"]
    view = with_scores(orpo, sft_dpo)
    digest = next(iter(view.record.results))
    neutral = Score(benchmark="preference", metric="accuracy", estimate=1, n=1, higher_is_better=None)
    view.__dict__["written"] = {("orpo@0", "preference.accuracy"): (digest, neutral)}
    found = asked(view, {"quantity": "preference.accuracy", "margin": margin})
    found.__dict__["written"] = view.__dict__["written"]
    (one,) = answers(found)
    assert (one.verdict.text, one.p_not_worse) == ("higher", None)
