"""What must not be concluded: from NaN, from zero, from equal means, from host memory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from synthetic import make_view

from harness.evidence.contrasts import all_contrasts
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.scores import arm_score
from harness.evidence.sections.quality import score_table
from harness.evidence.statistics.estimate import log_ratio, mean_interval
from harness.evidence.statistics.paired import paired_items, paired_seeds
from harness.evidence.statistics.verdict import verdict
from harness.evidence.view import ComparisonView
from harness.records import Score

NAN = float("nan")


def with_items(view: ComparisonView, metric: str, values: dict[str, list[float]]) -> ComparisonView:
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    for cell, given in values.items():
        items[cell][metric] = {f"i{n}": v for n, v in enumerate(given)}
    return replace(view, items=items)


def test_a_score_that_is_not_finite_is_neither_better_nor_worse() -> None:
    broken = {f"i{n}": NAN for n in range(40)}
    found = paired_items(broken, dict.fromkeys(broken, 0.0))
    assert verdict(found).text == "not measured: 40 of 40 values are not finite"
    assert mean_interval([1.0, math.inf], "t").value is None


def test_a_diverged_arm_is_shown_as_not_measured_with_the_reason() -> None:
    values = {"orpo@0": [NAN, 1.0], "orpo@1": [1.0, 1.0], "sft@0": [0.5, 0.5], "sft@1": [0.5, 0.6]}
    view = with_items(make_view(), "preference.margin", values)
    missing = comparison_data(findings(view))["arms"]["orpo"]["missing"]
    assert missing["preference.margin"] == "1 of 2 values are not finite"
    row = next(r for r in score_table(view, all_contrasts(view)).rows if r[1].value == "margin")
    assert row[5].reason == "preference.margin: 1 of 2 values are not finite"


def test_equal_means_of_unequal_items_are_not_identical() -> None:
    left, right = {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}
    found = paired_seeds({0: left, 1: left}, {0: right, 1: right})
    assert (found.value, found.p, found.identical) == (0.0, 1.0, False)
    assert verdict(found).text.startswith("not separable at n = 2")


def test_a_counter_that_read_zero_has_no_ratio() -> None:
    found = log_ratio([0.0, 5.0], [1.0, 1.0])
    assert (found.value, found.reason) == (None, "a measured figure is zero")


def test_host_memory_is_shown_and_not_judged() -> None:
    found = [e for e in all_contrasts(make_view()) if e.quantity == "cost.peak_memory_bytes"]
    assert {e.verdict.text for e in found} == {"not judged on CPU"}
    assert found[1].estimate.value == pytest.approx(5 / 4)


def test_a_benchmark_says_which_direction_is_good() -> None:
    values = {
        f"{arm}@{s}": [v + n / 7 * (1 + v / 50) + s / 50 for n in range(20)]
        for arm, v in (("sft", 9.0), ("orpo", 1.0))
        for s in (0, 1)
    }
    values["orpo@1"][1] += 0.1
    view = with_items(make_view(), "lm_eval/wikitext.perplexity", values)
    low = Score(benchmark="lm_eval/wikitext", metric="perplexity", estimate=1, n=2, higher_is_better=False)
    results = {
        d: r.model_copy(update={"scores": [low]}) if r.kind == "evaluate" else r
        for d, r in view.record.results.items()
    }
    view = replace(view, record=view.record.model_copy(update={"results": results}))
    found = {(e.quantity, e.a, e.b): e for e in all_contrasts(view)}
    assert found["lm_eval/wikitext.perplexity", "orpo", "sft"].verdict.outcome == "better"


def test_the_interval_of_a_share_stays_within_it() -> None:
    values = {"orpo@0": [1.0, 0.0], "orpo@1": [1.0, 1.0]}
    found = arm_score(with_items(make_view(), "rubric.pass", values), "orpo", "rubric.pass")
    assert (found.value, found.low, found.high) == (0.75, 0.0, 1.0)


def test_a_comparison_without_probes_says_so_and_draws_nothing_empty() -> None:
    report = build_report(replace(make_view(), series={}))
    dynamics = next(s for s in report.sections if s.title == "Training dynamics")
    assert dynamics.paragraphs == ("Not measured: no held-out pairs were scored during training.",)
    assert [f.name for f in report.figures()] == ["score_against_flops"]


def test_captions_count_the_pairs_that_there_are() -> None:
    view = make_view()
    facts = view.prepared.model_copy(update={"test_pairs": 20})
    prep = view.record.results["prep"].model_copy(update={"facts": facts})
    record = view.record.model_copy(update={"results": {**view.record.results, "prep": prep}})
    figures = build_report(replace(view, record=record)).figures()
    figure = next(figure for figure in figures if figure.name == "log_probs")
    assert "the same 20 held-out pairs" in figure.caption
