"""Margins and minimum detectable effects are told in the unit of their quantity, wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness import registry
from harness.evidence.aggregates import aggregate_contrast
from harness.evidence.amounts import amount, unit_of
from harness.evidence.answers import answers
from harness.evidence.combined import combined_effects
from harness.evidence.contrasts import cost_contrast, score_contrast
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.many import many_report
from harness.evidence.primary import Primary
from harness.evidence.sections.frontier import equal_cost_table
from harness.evidence.view import ComparisonView
from harness.evidence.wording import counted_percent
from harness.quantities import WALL_SECONDS
from harness.records import Score

ACCURACY = "preference.accuracy"


def levels(metric: str, by_arm: dict[str, tuple[float, ...]], **spec: Any) -> ComparisonView:
    """Arms at these levels, a seed each, of twenty items that lie 0.001 apart."""
    view = make_view(seeds=tuple(range(len(next(iter(by_arm.values()))))), **spec)
    items = {
        f"{arm}@{seed}": {metric: {f"i{i}": level + 0.001 * i for i in range(20)}}
        for arm, means in by_arm.items()
        for seed, level in enumerate(means)
    }
    return replace(view, items=items)


NEAR = {"orpo": (0.70, 0.68, 0.69), "sft_dpo": (0.69, 0.70, 0.68)}


@pytest.mark.parametrize(
    ("quantity", "value", "told"),
    [
        ("rubric.grade", 0.05, "5.00 points"),
        ("rubric.grade", 8e-05, "8.0e-03 points"),
        ("alpaca_eval.win_rate", 0.0471, "4.71 points"),
        ("preference.margin", 0.04714, "0.0471"),
        ("aggregate.accuracy", 0.05, "0.05"),
        ("cost.wall_seconds", 0.05, "5.0%"),
    ],
)
def test_amounts_have_the_unit_of_their_quantity(quantity: str, value: float, told: str) -> None:
    assert amount(unit_of(quantity), value) == told


@pytest.mark.parametrize(("metric", "unit"), [(ACCURACY, " points"), ("preference.margin", "")])
def test_every_verdict_tells_its_detectable_effect_in_that_unit(metric: str, unit: str) -> None:
    asked = {"quantity": metric, "a": "orpo", "b": "sft_dpo", "margin": None}
    view = levels(metric, NEAR, questions=[asked])
    one = score_contrast(view, metric, "orpo", "sft_dpo")
    assert one is not None
    assert one.estimate.detectable is not None
    told = amount(unit_of(metric), one.estimate.detectable)
    assert told.endswith(unit)
    assert one.verdict.text == f"not separable at n = 3, minimum detectable effect {told}"
    assert answers(view)[0].verdict.text == f"not separable at n = 3 (minimum detectable effect {told})"
    other = levels(metric, NEAR, model="another", questions=[asked])
    tables = {table.name: table for table in many_report([view, other]).tables()}
    rows = [row for row in tables["runs_differences"].rows if row[0].value == metric]
    assert [row[7].value for row in rows] == [one.verdict.text] * 2


def test_quality_at_equal_cost_is_told_in_points() -> None:
    view = make_view(seeds=(0, 1, 2))
    for digest, rows in view.series.items():
        for row in rows:
            # The seeds of one arm rise and those of the other fall.
            shift = 0.02 * int(digest[-1]) * (1 if digest.startswith("orpo") else -1)
            row["metrics"]["probe_preference_accuracy"] += shift - 0.05 * digest.startswith("orpo")
    verdicts = [str(row[-1].value) for row in equal_cost_table(view, Primary("orpo", "sft_dpo")).rows]
    assert any("minimum detectable effect" in text for text in verdicts)
    assert all(text.endswith(" points") for text in verdicts if "minimum detectable effect" in text)


def test_margins_are_told_in_that_unit() -> None:
    close = {"orpo": (0.700, 0.701, 0.702), "sft_dpo": (0.702, 0.700, 0.701)}
    asked = {"quantity": ACCURACY, "a": "orpo", "b": "sft_dpo", "margin": 0.05}
    (one,) = answers(levels(ACCURACY, close, questions=[asked]))
    assert one.verdict.text.startswith("not worse within the margin of 5.00 points")


def test_equal_costs_are_equal_and_equal_items_identical() -> None:
    twins = {"orpo": ["orpo"], "twin": ["orpo"]}
    asked = [
        {"quantity": q, "a": "twin", "b": "orpo", "margin": None} for q in ("cost.wall_seconds", ACCURACY)
    ]
    view = make_view(arms=twins, baseline="orpo", cost_reference="orpo", questions=asked)
    one = cost_contrast(view, WALL_SECONDS, "twin", "orpo")
    assert (one.verdict.outcome, one.verdict.text) == ("identical", "equal")
    assert [answer.verdict.text for answer in answers(view)] == ["equal", "identical"]


FAR = {"orpo": (0.2, 0.9), "sft_dpo": (0.5, 0.5)}
"""Two seeds, and one degree of freedom: over 20 standard errors of 0.35 are detectable."""
OTHER = {"orpo": (0.9, 0.3)}


@pytest.mark.parametrize(
    ("metric", "scale", "told"),
    [
        (ACCURACY, 1.0, "minimum detectable effect: more than it can differ"),
        ("behaviour.words", 100.0, "minimum detectable effect: more than its values span"),
    ],
)
def test_what_a_score_cannot_differ_by_is_no_amount(metric: str, scale: float, told: str) -> None:
    asked = {"quantity": metric, "a": "orpo", "b": "sft_dpo", "margin": None}
    view = levels(metric, FAR, questions=[asked])
    for tables in view.items.values():
        tables[metric] = {item: scale * value for item, value in tables[metric].items()}
    one = score_contrast(view, metric, "orpo", "sft_dpo")
    assert one is not None
    assert one.estimate.detectable is not None
    assert one.estimate.detectable > scale
    assert one.verdict.text == f"not separable at n = 2, {told}"
    assert one.turned().verdict.text == one.verdict.text
    assert answers(view)[0].verdict.text == f"not separable at n = 2 ({told})"


def test_the_span_of_a_score_has_zero_in_it() -> None:
    """Values around 1,000 may differ by a tenth, though no two seen lie 30 apart."""
    metric = "behaviour.words"
    view = levels(metric, {"orpo": (1000.0, 1010.0), "sft_dpo": (1005.0, 1004.0)})
    one = score_contrast(view, metric, "orpo", "sft_dpo")
    assert one is not None
    assert one.estimate.detectable is not None
    assert 30 < one.estimate.detectable < 1000
    assert one.verdict.text.endswith(f"minimum detectable effect {amount('number', one.estimate.detectable)}")


def test_a_win_rate_against_the_rival_itself_differs_by_half_at_most() -> None:
    metric = "alpaca_eval.win_rate"
    view = levels(metric, {"orpo": (0.46, 0.54)})
    score = Score(benchmark="alpaca_eval", metric="win_rate", estimate=0.5, n=20, settings={"rival": "sft@0"})
    view.__dict__["written"] = {(cell, metric): ("prep", score) for cell in view.items}
    one = score_contrast(view, metric, "orpo", "sft")
    assert one is not None
    assert one.estimate.detectable is not None
    assert 0.5 < one.estimate.detectable < 1
    assert one.verdict.text.endswith("minimum detectable effect: more than it can differ")


def test_times_of_which_only_a_tenfold_is_found_say_so() -> None:
    asked = {"quantity": "cost.wall_seconds", "a": "orpo", "b": "sft_dpo", "margin": None}
    view = make_view(questions=[asked])
    stage = view.record.results["orpo1"]
    ledger = [
        m.model_copy(update={"value": 3 * m.value}) if m.quantity == "wall_seconds" else m
        for m in stage.ledger
    ]
    view.record.results["orpo1"] = stage.model_copy(update={"ledger": ledger})
    (answer,) = answers(view)
    assert answer.estimate.detectable is not None
    assert answer.estimate.detectable > 100
    assert answer.verdict.text == "not separable at n = 2 (minimum detectable effect: more than tenfold)"
    one = cost_contrast(view, WALL_SECONDS, "orpo", "sft_dpo")
    assert one.verdict.text == "not separable at n = 2, minimum detectable effect: more than tenfold"


def test_an_aggregate_spans_what_its_scores_do() -> None:
    """Accuracy in units of 0.1 differs by ten of them at most."""
    view = levels(ACCURACY, FAR, aggregates={"all": {"weights": {ACCURACY: 1}, "scales": {ACCURACY: 0.1}}})
    one = aggregate_contrast(view, "all", view.aggregates["all"], "orpo", "sft_dpo")
    assert one.reach == pytest.approx(10)
    assert one.verdict.text == "not separable at n = 2, minimum detectable effect: more than its values span"


def test_runs_together_and_every_format_say_it(tmp_path: Path) -> None:
    views = [levels(ACCURACY, shifted, model=m) for m, shifted in (("one", FAR), ("two", FAR | OTHER))]
    effect = next(one for one in combined_effects(views) if one.quantity == ACCURACY)
    assert effect.estimate.detectable is not None
    assert effect.estimate.detectable > 1
    assert effect.verdict.text.endswith("data sets, minimum detectable effect: more than it can differ")
    report = build_report(views[0])
    for name in ("markdown", "html", "latex", "csv", "json"):
        registry.load("formats", name).render(report, tmp_path)
    files = ["report.md", "report.html", "tables/evidence.tex", "tables/evidence.csv", "comparison.json"]
    for file in files:
        assert "minimum detectable effect: more than it can differ" in (tmp_path / file).read_text()


def test_a_counted_ratio_that_is_not_one_does_not_read_as_100_percent() -> None:
    assert counted_percent(1.0) == "100.0%"
    assert counted_percent(1.535) == "153.5%"
    assert counted_percent(1.0001043800336915) == "100.01%"
    assert counted_percent(0.9999999) == "99.99999%"
    assert counted_percent(1 + 1e-12) == "100.000000%", "that is rounding, whatever it is called"
