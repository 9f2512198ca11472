"""A win rate says wins, ties and losses, and a soft one that it is a mean preference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.documents.comparison import build_report
from harness.evidence.findings import findings
from harness.evidence.sections.summary import summary
from harness.evidence.view import ComparisonView
from harness.evidence.wins import Wins, wins_of
from harness.records import Score, StageResult

METRIC = "alpaca_eval.win_rate_vs_sft_dpo"
QUESTION = {"quantity": METRIC, "a": "orpo", "b": "sft_dpo", "margin": None}
MOSTLY_TIES = [1.0] * 60 + [0.5] * 282 + [0.0] * 58


def duel(values: list[float | None], *questions: dict[str, Any], turned: bool = False) -> ComparisonView:
    """Three seeds at which ORPO's answers were judged against SFT then DPO's; None was unreadable."""
    view = make_view(seeds=(0, 1, 2), questions=list(questions))
    challenger, rival = ("sft_dpo", "orpo") if turned else ("orpo", "sft_dpo")
    results: dict[str, StageResult] = dict(view.record.results)
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    unread: dict[str, dict[str, set[str]]] = {}
    for seed in view.seeds:
        digest = f"ev-{challenger}{seed}"
        settings = {"rival": f"{rival}@{seed}"}
        score = Score(benchmark="alpaca_eval", metric=METRIC.partition(".")[2], estimate=0.5, n=1)
        scores = [score.model_copy(update={"settings": settings})]
        results[digest] = results[digest].model_copy(update={"scores": scores})
        # One more win at the last seed, so that seeds differ.
        at_seed = [1.0, *values[1:]] if seed == 2 else [0.5, *values[1:]]
        table = {f"p{i}": value for i, value in enumerate(at_seed)}
        cell = f"{challenger}@{seed}"
        items[cell][METRIC] = {i: value for i, value in table.items() if value is not None}
        unread[cell] = {METRIC: {i for i, value in table.items() if value is None}}
    record = view.record.model_copy(update={"results": results})
    return ComparisonView(record, items, view.series, unread=unread)


def test_half_of_all_answers_won_may_be_ties() -> None:
    view = duel(list(MOSTLY_TIES), QUESTION)
    assert wins_of(view, "orpo", METRIC) == Wins(178, 848, 174, prompts=400, seeds=3, soft=False)
    sentence = summary(findings(view))[1]
    assert (
        "ORPO's answers were preferred in 14.8%, tied in 70.7% and lost in 14.5% of 400 prompts x 3 seeds, a "
        "win rate of 50.2% (ties count half), +0.17 points from one half"
    ) in sentence


def test_the_rival_reads_it_turned() -> None:
    view = duel(list(MOSTLY_TIES), QUESTION, turned=True)
    sentence = summary(findings(view))[1]
    assert "ORPO's answers were preferred in 14.5%, tied in 70.7% and lost in 14.8%" in sentence


def test_soft_preferences_are_a_mean() -> None:
    view = duel([0.55] * 60 + [0.05] * 40, QUESTION)
    counts = wins_of(view, "orpo", METRIC)
    assert counts is not None
    assert (counts.soft, counts.won, counts.tied, counts.lost) == (True, 178, 2, 120)
    sentence = summary(findings(view))[1]
    assert (
        "mean preference for ORPO's answers 35.1% (above one half in 59.3%, at it in 0.7%, below it"
        in sentence
    )
    assert "win rate of" not in sentence


def test_unread_judgments_are_counted_beside_the_judged() -> None:
    view = duel([*MOSTLY_TIES[:-4], None, None, None, None], QUESTION)
    assert "the 1,188 of 1,200 that were judged (400 prompts x 3 seeds)" in summary(findings(view))[1]
    table = next(table for table in build_report(view).tables() if table.name == "wins")
    (row,) = ([cell.value for cell in row] for row in table.rows)
    assert row[:9] == [METRIC, "orpo", "sft_dpo", 400, 3, 1188, 178, 848, 162]
    assert row[10] == "orpo 12 of 1,200"


def test_the_json_counts_them_too() -> None:
    data: Any = build_report(duel([*MOSTLY_TIES[:-1], None], QUESTION)).data
    score = data["arms"]["orpo"]["scores"]["alpaca_eval"]["win_rate_vs_sft_dpo"]
    assert (score["items"], score["items_missing"]) == (400, [1, 1, 1])
    assert (score["wins"]["won"], score["wins"]["tied"], score["wins"]["lost"]) == (178, 848, 171)
    rate = (score["wins"]["won"] + score["wins"]["tied"] / 2) / (400 * 3 - 3)
    assert score["estimate"] == pytest.approx(rate)


def test_all_ties_are_no_equal_answers() -> None:
    view = duel([0.5] * 20, QUESTION)
    tied = {
        cell: {**t, METRIC: dict.fromkeys(t[METRIC], 0.5)} if METRIC in t else t
        for cell, t in view.items.items()
    }
    sentence = summary(findings(replace(view, items=tied)))[1]
    assert sentence.startswith(f"Every answer of ORPO is tied with that of SFT then DPO on {METRIC}: ")


def test_other_scores_have_no_wins() -> None:
    assert wins_of(make_view(), "orpo", "preference.accuracy") is None
    assert "wins" not in [table.name for table in build_report(make_view()).tables()]
