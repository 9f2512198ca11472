"""Bradley-Terry over judged pairs: known strengths come back."""

from __future__ import annotations

import random

import pytest
from synthetic import make_view

from harness.evidence.sections.ranking import ranking_table
from harness.evidence.view import ComparisonView
from harness.records import Score

STRENGTH = {"sft": 1.0, "sft_dpo": 2.0, "orpo": 3.0}
RIVALS = {"alpaca_eval.win_rate": "sft", "alpaca_eval.win_rate_vs_sft_dpo": "sft_dpo"}


def judged(prompts: int) -> ComparisonView:
    rng, view = random.Random(0), make_view(seeds=(0,))
    items: dict[str, dict[str, dict[str, float]]] = {f"{arm}@0": {} for arm in STRENGTH}
    written = {}
    for metric, rival in RIVALS.items():
        for arm in STRENGTH:
            if arm == rival or (metric.endswith("sft_dpo") and arm != "orpo"):
                continue
            chance = STRENGTH[arm] / (STRENGTH[arm] + STRENGTH[rival])
            items[f"{arm}@0"][metric] = {f"i{i}": float(rng.random() < chance) for i in range(prompts)}
            score = Score(
                benchmark="alpaca_eval",
                metric=metric.partition(".")[2],
                estimate=0.5,
                n=prompts,
                settings={"rival": f"{rival}@0"},
            )
            written[f"{arm}@0", metric] = ("judge", score)
    made = ComparisonView(view.record, items, view.series)
    made.__dict__["written"] = written
    return made


def test_strengths_come_back() -> None:
    table = ranking_table(judged(3_000))
    assert table is not None
    found = {str(row[0].value): row[1] for row in table.rows}
    assert list(found) == ["orpo", "sft_dpo", "sft"]
    assert found["sft"].value == pytest.approx(0.5)
    for arm, chance in (("orpo", 0.75), ("sft_dpo", 2 / 3)):
        cell = found[arm]
        assert cell.low is not None
        assert cell.high is not None
        assert isinstance(cell.value, float)
        assert cell.low < chance < cell.high
        assert cell.value == pytest.approx(chance, abs=0.02)


def test_no_ranking_without_three_arms_or_enough_prompts() -> None:
    assert ranking_table(judged(10)) is None
    assert ranking_table(make_view()) is None


def soft() -> ComparisonView:
    """`sft_dpo` beats the baseline in 45% outright; `orpo` is preferred by 0.55 on 60%, by 0.05 on 40%."""
    view = judged(100)
    wins = {f"i{i}": 0.55 if i % 5 < 3 else 0.05 for i in range(100)}
    view.items["orpo@0"] = {"alpaca_eval.win_rate": wins}
    view.items["sft_dpo@0"] = {"alpaca_eval.win_rate": {f"i{i}": float(i % 20 < 9) for i in range(100)}}
    return view


def test_soft_preferences_stay_soft_and_in_the_order_of_their_means() -> None:
    table = ranking_table(soft())
    assert table is not None
    assert [row[0].value for row in table.rows] == ["sft", "sft_dpo", "orpo"]
    assert [row[1].value for row in table.rows] == pytest.approx([0.5, 0.45, 0.35])


def test_each_row_counts_its_own_judged_pairs_and_no_pair_twice() -> None:
    table = ranking_table(judged(50))
    assert table is not None
    assert {row[0].value: row[2].value for row in table.rows} == {"sft": 100, "sft_dpo": 100, "orpo": 100}
    view = soft()
    view.items["orpo@0"]["alpaca_eval.win_rate_vs_sft"] = dict(view.items["orpo@0"]["alpaca_eval.win_rate"])
    view.written["orpo@0", "alpaca_eval.win_rate_vs_sft"] = view.written["orpo@0", "alpaca_eval.win_rate"]
    again = ranking_table(view)
    assert again is not None
    assert {row[0].value: row[2].value for row in again.rows} == {"sft": 200, "sft_dpo": 100, "orpo": 100}


def test_items_of_one_prompt_are_one_prompt() -> None:
    """Every prompt twice, with the same verdicts: nothing more is known of them."""
    once, view = soft(), soft()
    shared = {f"i{i}{k}": f"i{i}" for i in range(100) for k in "ab"}
    for tables in view.items.values():
        for metric, values in tables.items():
            tables[metric] = {item: values[prompt] for item, prompt in shared.items() if prompt in values}
    view.clusters.update({metric: shared for metric in RIVALS})
    ends = []
    for one in (once, view):
        table = ranking_table(one)
        assert table is not None
        ends.append([(row[1].low, row[1].high) for row in table.rows[1:]])
    for single, double in zip(*ends, strict=True):
        assert double == pytest.approx(single, abs=0.005)
