"""Win rates: who they are against, what stands at 50% by definition, and who wrote them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.contrasts import all_contrasts
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.sections.by_seed import by_seed_table
from harness.evidence.sections.provenance import provenance_table
from harness.evidence.sections.quality import score_table
from harness.evidence.sections.results import main_table
from harness.evidence.view import ComparisonView
from harness.records import JudgeFacts, Score, StageUse

WIN_RATE, HEAD_TO_HEAD = "alpaca_eval.win_rate", "alpaca_eval.win_rate_vs_sft_dpo"
SHARES = {("orpo@0", WIN_RATE): 0.70, ("orpo@1", WIN_RATE): 0.72, ("orpo@0", HEAD_TO_HEAD): 0.50}
SHARES |= {("orpo@1", HEAD_TO_HEAD): 0.52, ("sft_dpo@0", WIN_RATE): 0.60, ("sft_dpo@1", WIN_RATE): 0.63}


def wins(share: float) -> dict[str, float]:
    return {f"p{n}": float(n < round(100 * share)) for n in range(100)}


def judged(shares: dict[tuple[str, str], float], *, rival: str = "sft", **kwargs: Any) -> ComparisonView:
    """The made comparison with a judge stage whose win rates are `shares`."""
    view = make_view(**kwargs)
    cells: dict[str, list[Score]] = {}
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    for (cell, metric), share in shares.items():
        benchmark, _, name = metric.rpartition(".")
        against = "sft_dpo" if metric == HEAD_TO_HEAD else rival
        settings = {"rival": f"{against}@{cell[-1]}"}
        score = Score(benchmark=benchmark, metric=name, estimate=share, n=100, settings=settings)
        cells.setdefault(cell, []).append(score)
        items[cell][metric] = wins(share)
    facts = JudgeFacts(cells=cells)
    record = view.record
    judge = record.results["prep"].model_copy(
        update={"digest": "judge", "kind": "judge", "name": "judge", "facts": facts}
    )
    plan = record.plan.model_copy(update={"judge": "judge", "order": [*record.plan.order, "judge"]})
    uses = {**record.uses, "judge": StageUse(digest="judge")}
    results = {**record.results, "judge": judge}
    record = record.model_copy(update={"plan": plan, "results": results, "uses": uses})
    return ComparisonView(record, items, view.series)


def test_a_win_rate_against_an_arm_is_evidence_about_that_arm() -> None:
    found = {(e.quantity, e.a, e.b): e for e in all_contrasts(judged(SHARES))}
    one = found[WIN_RATE, "orpo", "sft"]
    # Seeds 0.20 and 0.22 above one half: mean 0.21, half width 12.7062 * 0.0141421 / sqrt(2).
    assert one.estimate.value == pytest.approx(0.21)
    assert one.estimate.low == pytest.approx(0.21 - 0.127062, abs=1e-5)
    assert one.verdict.outcome == "better"
    assert one.sources[0] == "judge"
    assert found[HEAD_TO_HEAD, "orpo", "sft_dpo"].estimate.value == pytest.approx(0.01)


def test_the_rival_may_be_named_after_its_challenger() -> None:
    shares = {("sft@0", WIN_RATE): 0.3, ("sft@1", WIN_RATE): 0.31}
    found = [e for e in all_contrasts(judged(shares, rival="orpo")) if e.quantity == WIN_RATE]
    assert [(e.a, e.b, e.verdict.outcome) for e in found] == [("sft", "orpo", "worse")]


def test_only_the_rival_stands_at_half_by_definition() -> None:
    view = judged(SHARES)
    shown = {str(row[0].value): row[5].value for row in main_table(view).rows}
    assert shown == {"sft": 0.5, "sft_dpo": pytest.approx(0.615), "orpo": pytest.approx(0.71)}
    assert comparison_data(findings(view))["arms"]["sft"]["scores"]["alpaca_eval"]["win_rate"][
        "by_definition"
    ]


def test_a_reference_that_is_no_arm_leaves_the_baseline_measured() -> None:
    shares = {**SHARES, ("sft@0", WIN_RATE): 0.2, ("sft@1", WIN_RATE): 0.3}
    table = main_table(judged(shares, rival="chosen"))
    assert table.rows[0][5].value == pytest.approx(0.25)
    assert "against the data's chosen answers, 50% = equal" in table.notes[0]


def test_random_weights_show_no_win_rate_at_all() -> None:
    view = judged(SHARES, random_weights=True)
    assert {row[5].reason for row in main_table(view).rows} == {"training began from random weights"}
    base = comparison_data(findings(view))["base"]
    assert base == {"scores": {}, "missing": {"scores": "training began from random weights"}}


def test_an_unreadable_judge_is_the_reason_shown() -> None:
    view = judged({})
    unread = Score(benchmark="alpaca_eval", metric="win_rate", estimate=None, n=0, reason="unreadable judge")
    judge = view.record.results["judge"].model_copy(update={"facts": JudgeFacts(cells={"orpo@0": [unread]})})
    record = view.record.model_copy(update={"results": {**view.record.results, "judge": judge}})
    row = main_table(replace(view, record=record)).rows[2]
    assert (row[5].value, row[5].reason) == (None, "unreadable judge")


def test_the_first_sentence_is_about_the_head_to_head() -> None:
    first = build_report(judged(SHARES)).summary[0]
    assert "ORPO and SFT then DPO are not separable on alpaca_eval.win_rate_vs_sft_dpo at n = 2" in first
    assert (
        "ORPO's answers were preferred in 51.0%, tied in 0.0% and lost in 49.0% of 100 prompts x 2" in first
    )


def test_bold_goes_to_an_arm_that_beats_every_other() -> None:
    shares = {**SHARES, ("sft_dpo@0", WIN_RATE): 0.50, ("sft_dpo@1", WIN_RATE): 0.51}
    view = judged(shares)
    rows = score_table(view, all_contrasts(view)).rows
    assert [c.bold for c in next(r for r in rows if r[1].value == "win_rate")[3:6]] == [False, False, True]


def test_an_arm_that_beats_only_some_is_not_bold() -> None:
    values = {"orpo": (0.80, 0.801), "sft_dpo": (0.80, 0.802), "sft": (0.50, 0.503)}
    view = make_view()
    for arm, means in values.items():
        for seed, mean in enumerate(means):
            view.items[f"{arm}@{seed}"]["preference.accuracy"] = {f"i{i}": mean + i / 1000 for i in range(20)}
    (row,) = score_table(view, all_contrasts(view)).rows
    verdicts = {(one.a, one.b): one.verdict.outcome for one in all_contrasts(view)}
    assert verdicts["orpo", "sft"] == "better"
    assert [cell.bold for cell in row[3:6]] == [False, False, False]


def test_every_arm_names_the_stages_behind_its_figures() -> None:
    table = provenance_table(judged(SHARES))
    digest, arms = table.columns.index("digest"), table.columns.index("of arms")
    found = [row[digest].value for row in table.rows if "orpo" in str(row[arms].value).split(", ")]
    assert sorted(found) == ["ev-orpo0", "ev-orpo1", "judge", "orpo0", "orpo1"]


def test_scores_by_seed_are_what_the_means_are_of() -> None:
    view = judged(SHARES)
    table = by_seed_table(view)
    assert table is not None
    assert table.columns == ("metric", "arm", "seed 0", "seed 1")
    for row in table.rows:
        metric, arm = str(row[0].value), str(row[1].value)
        assert [cell.value for cell in row[2:]] == view.item_means(arm, metric)
        assert [cell.about.seed if cell.about else None for cell in row[2:]] == [0, 1]
        sources = dict.fromkeys(source for cell in row[2:] for source in cell.sources)
        assert tuple(sources) == view.score_sources(arm, metric)
    win_rates = [str(row[1].value) for row in table.rows if row[0].value == "alpaca_eval.win_rate"]
    assert win_rates == ["sft_dpo", "orpo"]
    assert by_seed_table(make_view(seeds=(0,))) is None
