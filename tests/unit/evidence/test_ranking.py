"""Bradley-Terry over judged pairs: known strengths come back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.findings import findings
from harness.evidence.sections import quality
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


def test_a_chance_without_an_interval_says_why() -> None:
    """The others are held against the baseline, which is 50% therefore; ties alone vary in nothing."""
    view = judged(100)
    table = ranking_table(view)
    assert table is not None
    assert {str(row[0].value): row[1].no_interval for row in table.rows} == {
        "orpo": None,
        "sft_dpo": None,
        "sft": "the others are held against it",
    }
    for tables in view.items.values():
        for metric, values in tables.items():
            tables[metric] = dict.fromkeys(values, 0.5)
    tied = ranking_table(view)
    assert tied is not None
    assert {str(row[0].value): row[1].no_interval for row in tied.rows} == {
        "orpo": "no spread to judge it by",
        "sft_dpo": "no spread to judge it by",
        "sft": "the others are held against it",
    }


def replayed(view: ComparisonView, *, rival: str | None = None, **spec: Any) -> ComparisonView:
    """The view as one of published results, where `rival` is given all held against that."""
    plan = view.record.plan
    plan = plan.model_copy(update={"spec": {**plan.spec, "replayed": True, **spec}})
    made = ComparisonView(view.record.model_copy(update={"plan": plan}), view.items, view.series)
    made.__dict__["written"] = {
        key: (digest, score.model_copy(update={"settings": {"rival": rival}} if rival else {}))
        for key, (digest, score) in view.written.items()
    }
    return made


def test_replayed_judgments_of_arms_are_ranked_too() -> None:
    view = judged(100)
    tables = {table.name: table for table in quality.scores(findings(replayed(view))).tables}
    assert tables["ranking"] == ranking_table(view)
    assert quality.scores(findings(view)).paragraphs == ()


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (replayed(judged(100), rival="gpt4"), "no arm met another one, but gpt4 alone"),
        (replayed(judged(10)), "10 prompts were judged, and a ranking needs 20"),
        (replayed(judged(100), baseline="elsewhere"), "none of them met elsewhere"),
    ],
)
def test_arms_that_were_judged_and_not_ranked_say_why(view: ComparisonView, why: str) -> None:
    section = quality.scores(findings(view))
    assert "ranking" not in {table.name for table in section.tables}
    (sentence,) = section.paragraphs
    assert sentence.startswith(f"Arms are not ranked by their judged pairs: {why}")


def test_one_judged_arm_is_no_ranking_and_no_absence() -> None:
    view = judged(100)
    del view.items["sft_dpo@0"]
    assert quality.scores(findings(view)).paragraphs == ()


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
