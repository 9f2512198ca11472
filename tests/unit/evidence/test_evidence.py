"""Estimates against hand-computed answers, costs against their definition, verdicts in words."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import make_view, trained

from harness.evidence.costs import arm_cost, cell_cost
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.statistics.estimate import log_ratio, mean_interval
from harness.evidence.statistics.paired import paired_items, paired_seeds
from harness.evidence.statistics.verdict import verdict
from harness.quantities import ENERGY, FLOPS, PEAK_MEMORY, WALL_SECONDS


def test_t_interval_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0], "t")
    half = 4.302653 * 1.0 / math.sqrt(3)
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == (pytest.approx(2 - half, abs=1e-5), pytest.approx(2 + half, abs=1e-5))
    assert found.p == pytest.approx(0.0741799, abs=1e-6)


@pytest.mark.parametrize(("n", "in_sd"), [(3, 3.3), (5, 1.7), (10, 1.0)])
def test_detectable_effect_in_standard_deviations(n: int, in_sd: float) -> None:
    values = np.random.default_rng(0).normal(size=n)
    found = mean_interval(values.tolist(), "t")
    assert found.detectable == pytest.approx(in_sd * values.std(ddof=1), rel=0.04)


def test_one_value_has_no_interval_and_none_has_no_estimate() -> None:
    assert mean_interval([0.5], "t").reason == "one seed has no interval"
    assert mean_interval([], "t").value is None


def test_no_difference_at_all_is_identical_with_p_1() -> None:
    found = paired_items({"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 0.0})
    assert (found.p, found.identical, verdict(found).outcome) == (1.0, True, "identical")
    seeds = paired_seeds({0: {"a": 1.0}, 1: {"a": 0.0}}, {0: {"a": 1.0}, 1: {"a": 0.0}})
    assert (seeds.p, verdict(seeds).outcome) == (1.0, "identical")


def test_items_are_joined_on_their_ids() -> None:
    assert paired_items({"a": 3.0, "x": 9.0}, {"a": 1.0, "y": 9.0}).n == 1
    assert paired_items({"x": 9.0}, {"y": 9.0}).reason == "no shared items"


def test_log_ratio_is_a_geometric_mean() -> None:
    found = log_ratio([2.0, 8.0], [1.0, 2.0])
    assert found.value == pytest.approx(math.sqrt(2 * 4))
    assert log_ratio([2.0, 2.0], [2.0, 2.0]).identical


def test_intervals_do_not_depend_on_global_random_state() -> None:
    random.seed(1)
    np.random.seed(1)
    first = comparison_data(findings(make_view()))
    np.random.seed(2)
    assert comparison_data(findings(make_view())) == first


@given(st.permutations(["sft", "dpo", "orpo"]))
def test_an_arms_cost_does_not_depend_on_the_order_of_its_stages(order: list[str]) -> None:
    stages = [trained(m, m, 0, m) for m in order]
    assert cell_cost(stages, WALL_SECONDS)[0] == pytest.approx(65.0)
    assert cell_cost(stages, PEAK_MEMORY)[0] == 5 * 2**30


def test_arm_costs_are_sums_over_stages_and_means_over_seeds() -> None:
    view = make_view()
    both = arm_cost(view, "sft_dpo", WALL_SECONDS)
    assert both.per_seed == (pytest.approx(40.0), pytest.approx(44.0))
    assert both.value == pytest.approx(42.0)
    assert set(both.sources) == {"sft0", "dpo0", "sft1", "dpo1"}
    assert arm_cost(view, "sft_dpo", FLOPS).value == pytest.approx(3.67e12)
    energy = arm_cost(view, "orpo", ENERGY)
    assert (energy.value, energy.reason) == (None, "orpo/orpo@1: no CUDA device")


def test_comparison_json_keeps_its_contract() -> None:
    data = comparison_data(findings(make_view()))
    orpo = data["arms"]["orpo"]
    assert set(orpo["cost"]) == {
        "per_seed",
        "unequal",
        "wall_seconds",
        "peak_memory_bytes",
        "memory_kind",
        "flops",
        "energy_joules",
        "relative",
        "relative_low",
        "relative_high",
    }
    assert orpo["cost"]["memory_kind"] == "host_rss"
    assert orpo["cost"]["relative"] == pytest.approx(26.25 / 42.0)
    assert orpo["missing"]["energy_joules"].endswith("no CUDA device")
    assert set(orpo["scores"]["preference"]["accuracy"]) >= {"estimate", "low", "high", "n"}
    for entry in data["evidence"]:
        assert set(entry) >= {"quantity", "a", "b", "estimate", "low", "high", "n", "p", "verdict"}
    assert data["provenance"]["run_id"] == "made-0123456789"


def test_random_weights_leave_quality_out_with_the_reason() -> None:
    view = make_view(random_weights=True)
    data = comparison_data(findings(view))
    assert data["arms"]["orpo"]["scores"] == {}
    assert data["arms"]["orpo"]["missing"]["scores"] == "training began from random weights"
    assert all(e["quantity"].startswith("cost.") for e in data["evidence"])
    assert "was not measured: training began from random weights" in build_report(view).summary[0]


def test_the_first_page_without_questions_has_three_sentences() -> None:
    summary = build_report(make_view()).summary
    assert len(summary) == 3
    assert "on preference.accuracy" in summary[0]
    assert "a difference of +20.00 points" in summary[0]
    assert "63% of its training time (no interval), 54% of its FLOPs" in summary[1]
    assert "parity was broken in: a|b_c" in summary[2]


def test_one_seed_says_so() -> None:
    limits = next(s for s in build_report(make_view(seeds=(0,))).sections if "cannot" in s.title)
    assert any(p.startswith("One seed") for p in limits.paragraphs)
    assert "at this one seed and not of training again" in build_report(make_view(seeds=(0,))).summary[0]
