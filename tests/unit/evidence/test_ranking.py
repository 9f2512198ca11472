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
