"""Margins and smallest detectable differences are told in the unit of their quantity, wherever they stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.amounts import amount, unit_of
from harness.evidence.answers import answers
from harness.evidence.contrasts import cost_contrast, score_contrast
from harness.evidence.documents.many import many_report
from harness.evidence.primary import Primary
from harness.evidence.sections.frontier import equal_cost_table
from harness.evidence.view import ComparisonView
from harness.quantities import WALL_SECONDS

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
def test_every_verdict_tells_its_smallest_detectable_in_that_unit(metric: str, unit: str) -> None:
    asked = {"quantity": metric, "a": "orpo", "b": "sft_dpo", "margin": None}
    view = levels(metric, NEAR, questions=[asked])
    one = score_contrast(view, metric, "orpo", "sft_dpo")
    assert one is not None
    assert one.estimate.detectable is not None
    told = amount(unit_of(metric), one.estimate.detectable)
    assert told.endswith(unit)
    assert one.verdict.text == f"not separable at n = 3, smallest detectable {told}"
    assert answers(view)[0].verdict.text == f"not separable at n = 3 (smallest detectable {told})"
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
    assert any("smallest detectable" in text for text in verdicts)
    assert all(text.endswith(" points") for text in verdicts if "smallest detectable" in text)


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
