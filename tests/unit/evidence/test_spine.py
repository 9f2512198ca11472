"""The report is about the registered arms, whatever they are: foreign methods, variants, no preferences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import ABOUT, make_view

from harness import registry
from harness.evidence.arms import arm_titles
from harness.evidence.documents.comparison import build_report
from harness.evidence.findings import findings
from harness.evidence.primary import Primary, head_to_head, headline_score, own_score, primary
from harness.evidence.sections.attribution import split_of
from harness.evidence.sections.frontier import equal_cost_table
from harness.evidence.sections.limits import limits
from harness.evidence.sections.results import main_win_rate
from harness.evidence.sections.summary import summary, title
from harness.evidence.view import ComparisonView
from harness.records import JudgeFacts, Score, StageUse, TrainFacts
from harness.tables import Report, Table

ACCURACY = "preference.accuracy"
SIMPO = {"sft": ["sft"], "sft_dpo": ["sft", "dpo"], "mine": ["simpo"]}
VARIANTS = {"orpo": ["orpo"], "orpo_whole": ["whole"]}
AGAINST_DPO = {"sft_simpo": ["sft", "simpo"], "sft_dpo": ["sft", "dpo"]}
NO_PREFERENCES = {"sft": ["sft"]}


def asked(a: str, b: str, quantity: str = ACCURACY, margin: float | None = None) -> dict[str, Any]:
    return {"quantity": quantity, "a": a, "b": b, "margin": margin}


def table(report: Report, name: str) -> Table:
    return next(table for table in report.tables() if table.name == name)


def column(report: Report, name: str, heading: str) -> list[Any]:
    one = table(report, name)
    return [row[one.columns.index(heading)].value for row in one.rows]


def text(report: Report) -> str:
    """Everything that a reader of the first page and of the methods sees, and all headings."""
    told = [report.title, *report.summary, *(s.text for s in report.methods)]
    for one in report.tables():
        told += [one.title, *one.columns, *one.notes]
    return " ".join(told)


@pytest.mark.parametrize(
    ("arms", "spec", "pair", "heading"),
    [
        (SIMPO, {}, ("mine", "sft_dpo"), "SimPO against SFT then DPO: made"),
        (SIMPO, {"cost_reference": "sft"}, ("sft_dpo", "sft"), "SFT then DPO against SFT: made"),
        (
            VARIANTS,
            {"baseline": "orpo", "cost_reference": "orpo"},
            ("orpo_whole", "orpo"),
            "ORPO (orpo_whole) against ORPO (orpo): made",
        ),
        (
            AGAINST_DPO,
            {"baseline": "sft_dpo"},
            ("sft_simpo", "sft_dpo"),
            "SFT then SimPO against SFT then DPO: made",
        ),
        (
            {"sft": ["sft"], "sft_dpo": ["sft", "dpo"]},
            {},
            ("sft_dpo", "sft"),
            "SFT then DPO against SFT: made",
        ),
        (NO_PREFERENCES, {"cost_reference": "sft"}, None, "SFT: made"),
    ],
)
def test_without_questions_the_title_follows_from_the_arms(
    arms: Any, spec: dict[str, Any], pair: tuple[str, str] | None, heading: str
) -> None:
    view = make_view(arms=arms, **spec)
    assert primary(view) == (Primary(*pair) if pair else None)
    assert title(findings(view)) == heading


def test_the_first_question_that_can_be_asked_decides() -> None:
    view = make_view(
        arms=SIMPO, questions=[asked("gone", "sft"), asked("sft", "mine"), asked("mine", "sft_dpo")]
    )
    assert primary(view) == Primary("sft", "mine")
    assert title(findings(view)) == "SFT against SimPO: made"


def test_every_section_renders_for_arms_that_nobody_foresaw() -> None:
    for arms in (SIMPO, VARIANTS, AGAINST_DPO, NO_PREFERENCES):
        first, *_ = arms
        last = list(arms)[-1]
        spec = {"baseline": first, "cost_reference": first, "questions": [asked(last, first, margin=0.05)]}
        report = build_report(make_view(arms=arms, seeds=(0, 1, 2), **spec))
        names = {table.name for table in report.tables()}
        assert {"main", "questions", "ledger", "hyperparameters"} <= names
        assert ("evidence" in names) is (len(arms) > 1)
        assert len(report.summary) == 4


def test_a_foreign_method_has_title_citation_and_ratios() -> None:
    report = build_report(make_view(arms=SIMPO, questions=[asked("mine", "sft_dpo")]))
    assert [r.key for r in report.references][:3] == ["ouyang2022", "rafailov2023", "meng2024"]
    assert "SimPO" in report.methods[1].text
    assert column(report, "ratios", "ratio") == [
        "(simpo of mine) / (sft + dpo of sft_dpo)",
        "(simpo of mine) / (dpo of sft_dpo)",
    ]
    exact = column(report, "ratios", "body FLOPs at equal lengths and epochs")
    assert exact == pytest.approx([12 / 22, 12 / 16])
    assert column(report, "ratios", "FLOPs") == pytest.approx([2 / 3.67, 2 / 2.67])
    assert "ORPO" not in text(report)
    assert "mine against sft_dpo" in table(report, "equal_cost").columns
    assert report.summary[-2].startswith("Against SFT then DPO (100%), SimPO took 50% of its training time")


def test_two_stages_against_two_compare_the_last_ones() -> None:
    view = make_view(arms=AGAINST_DPO, baseline="sft_dpo", questions=[asked("sft_simpo", "sft_dpo")])
    report = build_report(view)
    assert column(report, "ratios", "ratio") == [
        "(sft + simpo of sft_simpo) / (sft + dpo of sft_dpo)",
        "(simpo of sft_simpo) / (dpo of sft_dpo)",
    ]
    exact = column(report, "ratios", "body FLOPs at equal lengths and epochs")
    assert exact == pytest.approx([18 / 22, 12 / 16])
    assert table(report, "sharing").columns[-1] == "SFT split over"


def test_two_variants_of_one_method_differ_by_their_arms() -> None:
    view = make_view(
        arms=VARIANTS, baseline="orpo", cost_reference="orpo", questions=[asked("orpo_whole", "orpo")]
    )
    report = build_report(view)
    assert arm_titles(view) == {"orpo": "ORPO (orpo)", "orpo_whole": "ORPO (orpo_whole)"}
    assert "ORPO (orpo_whole) and ORPO (orpo) are not separable on" in report.summary[1]
    assert "The NLL covers the response (ORPO of orpo); prompt and response (ORPO of orpo_whole)." in text(
        report
    )
    assert [r.key for r in report.references].count("hong2024") == 1
    assert column(report, "ratios", "ratio") == ["(orpo of orpo_whole) / orpo"]
    assert column(report, "ratios", "body FLOPs at equal lengths and epochs") == [1.0]


def test_one_arm_alone_has_no_table_of_arm_against_arm() -> None:
    """It stood there empty, under two notes on what its verdicts mean."""
    report = build_report(make_view(arms={"orpo": ["orpo"]}, cost_reference="orpo"))
    assert [table.name for table in report.tables() if table.name.startswith("evidence")] == []
    assert all(table.rows for table in report.tables())


def test_one_arm_alone_has_nothing_to_be_held_against() -> None:
    report = build_report(make_view(arms=NO_PREFERENCES, cost_reference="sft"))
    assert report.summary[0] == "This comparison holds one arm, SFT, so there is nothing to compare it with."
    assert report.summary[1] == "With one arm there are no relative costs."
    names = {t.name for t in report.tables()}
    assert not {"ratios", "attribution", "sharing", "questions"} & names
    assert "DPO" not in text(report)


def test_costs_are_told_of_both_arms_where_the_reference_is_a_third() -> None:
    view = make_view(arms=SIMPO, cost_reference="sft", questions=[asked("mine", "sft_dpo")])
    cost = summary(findings(view))[-2]
    assert cost.startswith("Against SFT (100%), SimPO took 200% of its training time")
    assert ", and SFT then DPO took 400% of its training time" in cost
    gone = summary(findings(make_view(arms=SIMPO, cost_reference="gone")))[1]
    assert gone == "Relative costs are not measured: gone is not in this comparison."


def known_by(view: ComparisonView, about: Any) -> ComparisonView:
    """The view with what every stage recorded of its method replaced."""
    results = {
        digest: stage.model_copy(update={"facts": stage.facts.model_copy(update={"about": about})})
        if isinstance(stage.facts, TrainFacts)
        else stage
        for digest, stage in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_a_record_without_abouts_is_read_with_what_is_installed() -> None:
    view = known_by(make_view(), None)
    assert arm_titles(view) == {"sft": "SFT", "sft_dpo": "SFT then DPO", "orpo": "ORPO"}
    exact = column(build_report(view), "ratios", "body FLOPs at equal lengths and epochs")
    assert exact == pytest.approx([6 / 11, 0.75])


def test_a_method_that_is_gone_keeps_its_name_and_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda group: ["dpo", "orpo", "sft"])
    view = known_by(make_view(arms=SIMPO), None)
    report = build_report(view)
    assert arm_titles(view)["mine"] == "simpo"
    assert column(report, "ratios", "body FLOPs at equal lengths and epochs") == [None, None]
    assert column(report, "ratios", "FLOPs") == pytest.approx([2 / 3.67, 2 / 2.67])


def test_what_the_run_recorded_wins_over_what_is_installed() -> None:
    renamed = ABOUT["orpo"].model_copy(update={"title": "Odds", "sequences_per_pair": 3})
    view = known_by(make_view(), renamed)
    assert arm_titles(view) == {
        "sft": "Odds (sft)",
        "sft_dpo": "Odds then Odds",
        "orpo": "Odds (orpo)",
    }


# The first page's sentence about quality, by what was asked and found.

BETTER = {"mine": [0.80, 0.82, 0.81], "sft_dpo": [0.70, 0.71, 0.705]}
CLOSE = {"mine": [0.70, 0.715, 0.699], "sft_dpo": [0.71, 0.70, 0.705]}


def scored(
    means: dict[str, list[float]], *questions: dict[str, Any], metric: str = ACCURACY
) -> ComparisonView:
    view = make_view(arms=SIMPO, seeds=(0, 1, 2), questions=list(questions))
    items = {
        f"{arm}@{seed}": {metric: {f"i{i}": mean + 0.001 * i for i in range(20)}}
        for arm, of_seeds in means.items()
        for seed, mean in enumerate(of_seeds)
    }
    return ComparisonView(view.record, items, view.series)


def answered(view: ComparisonView) -> tuple[str, ...]:
    """What the first page says besides cost and sureness."""
    return summary(findings(view))[:-2]


@pytest.mark.parametrize(
    ("means", "margin", "opening"),
    [
        (
            BETTER,
            None,
            "SimPO is better than SFT then DPO on preference.accuracy: a difference of +10.50 points",
        ),
        (
            {"mine": BETTER["sft_dpo"], "sft_dpo": BETTER["mine"]},
            None,
            "SimPO is worse than SFT then DPO on preference.accuracy: a difference of -10.50 points",
        ),
        (CLOSE, None, "SimPO and SFT then DPO are not separable on preference.accuracy at n = 3"),
        (
            CLOSE,
            0.05,
            "SimPO is not worse than SFT then DPO on preference.accuracy within the margin of 5.00 points, "
            "and the same within it",
        ),
        (
            {"mine": [0.5] * 3, "sft_dpo": [0.5] * 3},
            None,
            "SimPO and SFT then DPO are equal on every item of preference.accuracy: a difference of "
            "0.00 points.",
        ),
    ],
)
def test_a_sentence_is_the_registered_answer(means: Any, margin: float | None, opening: str) -> None:
    asking, sentence = answered(scored(means, asked("mine", "sft_dpo", margin=margin)))
    assert asking == "1 question was registered before the run."
    assert sentence.startswith(opening)
    assert "exploratory" not in sentence


def test_a_sentence_uses_the_adjusted_p() -> None:
    one = asked("mine", "sft_dpo")
    close = {"mine": [0.74, 0.76, 0.75], "sft_dpo": [0.70, 0.74, 0.70]}
    alone = answered(scored(close, one))[1]
    family = answered(
        scored(close, one, *[asked("mine", "sft")] * 20, asked("mine", "sft_dpo", "cost.wall_seconds"))
    )[1]
    adjusted = [float(text.partition("adjusted p = ")[2].partition(")")[0]) for text in (alone, family)]
    assert adjusted[1] > adjusted[0] > 0


def in_a_family(*questions: dict[str, Any]) -> ComparisonView:
    """A win of one test alone, asked among 31 questions whose times differ between seeds."""
    wins = {"mine": [0.80, 0.82, 0.81], "sft_dpo": [0.74, 0.73, 0.75]}
    view = scored(wins, asked("mine", "sft_dpo"), *questions)
    spread = [
        stage.model_copy(
            update={
                "ledger": [
                    m.model_copy(update={"value": m.value * (1 + 0.1 * (stage.seed == 2))})
                    if m.quantity == "wall_seconds" and stage.digest.startswith("simpo")
                    else m
                    for m in stage.ledger
                ]
            }
        )
        for stage in view.record.results.values()
    ]
    results = {stage.digest: stage for stage in spread}
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_a_win_of_one_test_is_lost_in_a_family() -> None:
    assert answered(in_a_family())[1].startswith("SimPO is better than SFT then DPO on preference.accuracy")
    many = [asked("mine", "sft_dpo", "cost.wall_seconds")] * 30
    first, sentence, *rest = answered(in_a_family(*many))
    assert "adjusted over the 31 that are tested together" in first
    assert sentence.startswith("SimPO and SFT then DPO are not separable on preference.accuracy")
    assert sentence.endswith("excludes zero, but over 31 questions together that is not separable.")
    assert len(rest) == 30


def test_every_registered_answer_has_its_sentence_in_the_order_of_the_file() -> None:
    view = scored(
        BETTER,
        asked("mine", "sft_dpo", "rubric.grade"),
        asked("mine", "sft_dpo"),
        asked("sft_dpo", "sft", "cost.flops"),
    )
    first, grade, accuracy, flops = answered(view)
    assert first == (
        "3 questions were registered before the run. Verdicts and p values are adjusted over the 2 that are "
        "tested together; each interval is of one question alone."
    )
    assert grade == (
        "Whether SimPO is better than SFT then DPO on rubric.grade was not measured: rubric.grade was not "
        "scored for both."
    )
    assert accuracy.startswith("SimPO is better than SFT then DPO on preference.accuracy")
    assert (
        flops == "SFT then DPO is worse than SFT in FLOPs: 367.0% of SFT's, which is counted and not tested."
    )


def test_what_was_not_registered_is_called_exploratory_or_left_out() -> None:
    (alone,) = answered(scored(BETTER))
    assert alone.startswith(
        "Exploratory, since no question was registered: SimPO is better than SFT then DPO on"
    )
    assert "unadjusted p = " in alone
    told = answered(scored(BETTER, asked("mine", "sft_dpo", "cost.flops")))
    assert told[-1] == "No question about a score was registered, so nothing is said of quality here."
    assert "preference.accuracy" not in " ".join(told)


def test_questions_that_came_after_the_scores_are_called_exploratory() -> None:
    view = scored(BETTER, asked("mine", "sft_dpo"))
    first = str(view.record.plan.cells[0].evaluate)
    uses = {**view.record.uses, first: StageUse(digest=first, reused_from="earlier-1")}
    late = replace(view, record=view.record.model_copy(update={"uses": uses}))
    assert answered(late)[0] == (
        "1 question was registered after 1 scoring stage(s) of earlier-1 had finished, so every answer here "
        "is exploratory."
    )


def test_a_seed_that_diverged_is_named_on_the_first_page() -> None:
    view = scored(BETTER, asked("mine", "sft_dpo"))
    broken = {"simpo1": [{"step": 1, "metrics": {"loss": float("nan")}}]}
    last = summary(findings(replace(view, series=broken)))[-1]
    assert "training of one of the two arms diverged at seed 1" in last
    assert "diverged" not in summary(findings(view))[-1]


def test_an_equal_cost_is_not_called_identical() -> None:
    report = build_report(make_view(questions=[asked("orpo", "sft_dpo", "cost.flops")]))
    same = make_view(
        arms={"sft": ["sft"], "a": ["orpo"], "b": ["simpo"]},
        cost_reference="sft",
        questions=[asked("a", "b", "cost.flops")],
    )
    assert column(build_report(same), "questions", "verdict") == ["equal"]
    assert (
        summary(findings(same))[1]
        == "ORPO and SimPO are equal in FLOPs: 100.0% of SimPO's, which is counted and not tested."
    )
    assert column(report, "questions", "verdict") == ["better"]


def duel(shares: dict[str, float], rival: str, metric: str = "alpaca_eval.win_rate_vs_x") -> ComparisonView:
    """SimPO's comparison with a judge's win rates against one rival."""
    view = make_view(arms=SIMPO)
    benchmark, _, name = metric.rpartition(".")
    cells: dict[str, list[Score]] = {}
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    for cell, share in shares.items():
        settings = {"rival": f"{rival}@{cell[-1]}"}
        cells[cell] = [Score(benchmark=benchmark, metric=name, estimate=share, n=100, settings=settings)]
        items[cell][metric] = {f"p{n}": float(n < round(100 * share)) for n in range(100)}
    record = view.record
    judge = record.results["prep"].model_copy(
        update={"digest": "judge", "kind": "judge", "name": "judge", "facts": JudgeFacts(cells=cells)}
    )
    record = record.model_copy(
        update={
            "plan": record.plan.model_copy(update={"judge": "judge"}),
            "results": {**record.results, "judge": judge},
            "uses": {**record.uses, "judge": StageUse(digest="judge")},
        }
    )
    return ComparisonView(record, items, view.series)


def test_a_duel_of_the_two_arms_is_the_headline() -> None:
    view = duel({"mine@0": 0.60, "mine@1": 0.61}, "sft_dpo")
    pair = primary(view)
    assert pair is not None
    assert head_to_head(view, pair) == headline_score(view, pair) == "alpaca_eval.win_rate_vs_x"
    assert (
        "SimPO's answers were preferred in 60.5%, tied in 0.0% and lost in 39.5% of 100 prompts x 2 seeds, a "
        "win rate of 60.5% (ties count half), +10.50 points from one half"
    ) in answered(view)[0]


def test_a_duel_that_the_other_arm_challenged_is_turned() -> None:
    view = duel({"sft_dpo@0": 0.60, "sft_dpo@1": 0.61}, "mine")
    (sentence,) = answered(view)
    assert "SimPO is worse than SFT then DPO on" in sentence
    assert "SimPO's answers were preferred in 39.5%, tied in 0.0% and lost in 60.5%" in sentence


def test_win_rates_against_a_third_are_no_duel() -> None:
    view = duel({"mine@0": 0.60, "mine@1": 0.61, "sft_dpo@0": 0.5, "sft_dpo@1": 0.5}, "chosen")
    pair = primary(view)
    assert pair is not None
    assert head_to_head(view, pair) is None
    assert headline_score(view, pair) == ACCURACY
    registered = replace(
        view,
        record=view.record.model_copy(
            update={
                "plan": view.record.plan.model_copy(
                    update={
                        "spec": {
                            **view.record.plan.spec,
                            "questions": [asked("mine", "sft_dpo", "alpaca_eval.win_rate_vs_x")],
                        }
                    }
                )
            }
        ),
    )
    assert "a difference of +10.50 points between win rates against chosen" in answered(registered)[1]
    assert own_score(view) == ACCURACY


def test_the_score_beside_costs_is_the_first_registered_one_without_a_rival() -> None:
    view = make_view(arms=SIMPO)
    for tables in view.items.values():
        tables["rubric.grade"] = {"i0": 0.5, "i1": 0.7}
    assert own_score(view) == ACCURACY
    asking = make_view(arms=SIMPO, questions=[asked("mine", "sft_dpo", "rubric.grade")])
    assert own_score(replace(asking, items=view.items)) == "rubric.grade"
    assert own_score(replace(view, items={})) is None


def test_a_turned_contrast_turns_its_interval() -> None:
    view = duel({"sft_dpo@0": 0.60, "sft_dpo@1": 0.62}, "mine")
    # Seeds 0.10 and 0.12 above one half: mean 0.11, half width 12.7062 * 0.0141421 / sqrt(2) = 0.127.
    assert "-11.00 points from one half" in answered(view)[0]
    assert "-23.71 to +1.71 points" in answered(view)[0]


def test_the_main_win_rate_is_no_duel() -> None:
    view = duel({"mine@0": 0.60, "mine@1": 0.61}, "sft_dpo")
    assert main_win_rate(view) is None
    everyone = duel({"mine@0": 0.60, "mine@1": 0.61}, "sft", "other.win_rate")
    assert main_win_rate(everyone) == "other.win_rate"


def test_only_methods_on_chosen_answers_are_said_to_train_on_them() -> None:
    assert "SFT trained on the chosen answers of the same pairs." in limits(make_view(arms=SIMPO))
    alone = limits(make_view(arms={"mine": ["simpo"]}))
    assert not any("chosen answers" in sentence for sentence in alone)


def test_a_method_that_takes_pairs_otherwise_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("examples" in sentence for sentence in limits(make_view(arms=SIMPO)))
    other = ABOUT["simpo"].model_copy(update={"takes_pairs": "took a pair as two examples"})
    monkeypatch.setitem(ABOUT, "simpo", other)
    assert "SimPO took a pair as two examples." in limits(make_view(arms=SIMPO))


def test_the_verdict_at_equal_cost_is_on_the_first_arm() -> None:
    view = make_view(seeds=(0, 1, 2))
    varied = {
        digest: [
            {**row, "metrics": {**row["metrics"], "probe_preference_accuracy": accuracy + 0.0002 * n * n}}
            for row in rows
            for accuracy in [row["metrics"]["probe_preference_accuracy"]]
        ]
        for n, (digest, rows) in enumerate(view.series.items())
    }
    view = replace(view, series=varied)
    verdicts = {
        pair: {row[0].value: row[-1].value for row in equal_cost_table(view, Primary(*pair)).rows}
        for pair in (("orpo", "sft_dpo"), ("sft_dpo", "orpo"))
    }
    assert verdicts["orpo", "sft_dpo"]["FLOPs of sft_dpo"] == "better"
    assert verdicts["sft_dpo", "orpo"]["FLOPs of sft_dpo"] == "worse"


def test_the_split_needs_the_right_arms() -> None:
    view = make_view(full=True)
    split = split_of(view, Primary("orpo", "sft_dpo"))
    assert split == split_of(view, Primary("sft_dpo", "orpo"))
    assert split is not None
    assert (split.longer, split.single, split.control) == ("sft_dpo", "orpo", "sft_dpo_precomputed")
    for pair in (Primary("sft_dpo", "sft"), Primary("orpo", "sft_dpo_precomputed"), Primary("orpo", "sft")):
        assert split_of(view, pair) is None, pair
    short = make_view(arms={"sft_dpo": ["sft", "dpo"], "orpo": ["orpo"], "pre_alone": ["pre"]})
    assert split_of(short, Primary("orpo", "sft_dpo")) is None
