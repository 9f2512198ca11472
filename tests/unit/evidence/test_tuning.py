"""The section of a search: what it says and shows, where each figure comes from, what it must not say."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import make_view
from synthetic_tuning import ENDED, FAILED, make_tuning, tuned_view

from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.sections.tuning import section
from harness.evidence.tuned import Search, searches
from harness.evidence.tuned_space import range_of
from harness.evidence.view import ComparisonView
from harness.records import TuningRecord, TuningTrial
from harness.tables import Figure, Section, Table


def shown(view: ComparisonView) -> Section:
    found = section(findings(view))
    assert found is not None
    return found


def table(view: ComparisonView, name: str) -> Table:
    return next(one for one in shown(view).tables if one.name == name)


def rows(view: ComparisonView, name: str) -> dict[str, dict[str, Any]]:
    """The cells of a table by their row's first cell and their column."""
    one = table(view, name)
    return {str(row[0].value): dict(zip(one.columns, row, strict=True)) for row in one.rows}


def figure(view: ComparisonView, name: str) -> Figure:
    return next(one for one in shown(view).figures if one.name == name)


def search(view: ComparisonView, arm: str) -> Search:
    return next(one for one in searches(view) if one.arm == arm)


def with_trials(**changes: Any) -> TuningRecord:
    """The made search with every trial changed alike."""
    made = make_tuning()
    return made.model_copy(update={"trials": [one.model_copy(update=changes) for one in made.trials]})


def test_without_a_search_nothing_is_said_of_it() -> None:
    report = build_report(make_view())
    assert section(findings(make_view())) is None
    assert "Tuning" not in {one.part for one in report.sections}
    assert "tuning" not in report.data
    assert "searched" not in " ".join(one.text for one in report.methods)


def test_a_crossing_is_told_by_trials_and_by_cost_with_what_is_sure_of_it() -> None:
    (told,) = (one for one in shown(tuned_view()).paragraphs if one.startswith("Of ORPO and SFT then DPO"))
    trials, flops, seconds = told.partition("): ")[2].split("; ")
    assert trials == (
        "by number of trials, ORPO until 3 trials, SFT then DPO from 4 trials on (undecided throughout)"
    )
    assert flops.startswith("by FLOPs of tuning, ORPO until 16 TFLOP, SFT then DPO from 17.5 TFLOP on (")
    assert seconds.startswith("by training time of tuning, ORPO until 175.0 s")
    crossing = rows(tuned_view(), "tuning_leads")
    assert crossing["trials"]["overtaken at"].value == 4


def test_one_arm_ahead_throughout_is_overtaken_nowhere() -> None:
    (row,) = (
        r
        for r in table(tuned_view(), "tuning_leads").rows
        if [c.value for c in r[:3]] == ["trials", "sft", "orpo"]
    )
    assert row[3].value == "orpo throughout"
    assert (row[4].value, row[4].applies) == (None, False)
    assert row[5].value == "orpo until 5 trials, undecided from 6 trials on"


def test_claims_about_tuning_have_a_verdict_and_what_it_is_from() -> None:
    told = {one.partition(".")[0]: one for one in shown(tuned_view()).paragraphs if one.startswith("Claim:")}
    fewer = told["Claim: ORPO has fewer settings to tune than SFT then DPO"]
    assert "Here supported, by count: 2 (orpo.learning_rate, orpo.lambda) against 4 (" in fewer
    stabler = told["Claim: ORPO is more stable to tune than SFT then DPO"]
    assert "Here supported: 5 of 15 other trials lie within 0.01 of its best against 0 of 15" in stabler
    assert "p = 0.018 by Boschloo's exact test" in stabler


def test_claims_that_do_not_hold_are_contradicted_or_not_separable() -> None:
    turned = tuned_view(questions=[{"quantity": "preference.accuracy", "a": "sft_dpo", "b": "orpo"}])
    told = " ".join(shown(turned).paragraphs)
    assert "SFT then DPO has fewer settings to tune than ORPO. Here contradicted" in told
    assert "SFT then DPO is more stable to tune than ORPO. Here contradicted" in told
    few = " ".join(shown(tuned_view(make_tuning(6))).paragraphs)
    assert "ORPO is more stable to tune than SFT then DPO. Here not separable" in few


def test_what_a_search_cannot_show_stands_in_it() -> None:
    last = shown(tuned_view()).paragraphs[-1]
    assert "one search space, one draw of trials (seed 7) and one training of each" in last


def test_a_trial_without_a_score_counts_as_the_worst_and_one_that_ended_early_what_it_reached() -> None:
    view = tuned_view()
    one = search(view, "sft_dpo")
    worst = min(t.score for t in make_tuning().trials if t.score is not None)
    assert one.scores[FAILED] == worst
    assert one.scores[ENDED] == one.trials[ENDED].score
    (told,) = (text for text in shown(view).paragraphs if text.startswith("Of all trials, "))
    assert "1 trial ended early" in told
    assert "1 has no score" in told


def test_every_trial_is_a_row_that_leads_to_its_own_stages() -> None:
    view = tuned_view()
    found = rows(view, "tuning_trials")
    assert len(found) == 48
    for one in searches(view):
        for trial in one.trials:
            row = found[f"{one.arm} {trial.number}"]
            score = row["preference.accuracy"]
            assert (score.value, score.sources[:-1] if trial.evaluate else score.sources) == (
                trial.score,
                tuple(trial.stages),
            )
            assert score.about.arm == one.arm
            assert row["FLOPs"].value == trial.flops
            for place in one.places:
                assert row[".".join(place)].value == trial.settings[place[0]][place[1]]
    assert found[f"sft_dpo {FAILED}"]["preference.accuracy"].reason == "a loss was not finite"
    assert found[f"sft_dpo {ENDED}"]["ended"].value == "early, at 25% of its last stage"
    assert found["sft 0"]["dpo.beta"].applies is False


def test_the_chosen_settings_say_which_lie_at_an_end_of_their_range() -> None:
    found = rows(tuned_view(), "tuning_chosen")
    assert found["orpo"]["trial"].value == "14"
    assert found["orpo"]["at an end of its range"].value == "orpo.lambda"
    assert found["sft"]["at an end of its range"].value == "none"
    near = found["orpo"]["others within 1 point"]
    assert near.value == pytest.approx(5 / 15)
    assert near.low < near.value < near.high


def test_tuning_cost_stands_apart_and_with_one_training() -> None:
    row = rows(tuned_view(), "tuning_cost")["sft_dpo"]
    made = [t for t in make_tuning().trials if t.arm == "sft_dpo"]
    assert row["tuning: FLOPs"].value == pytest.approx(sum(t.flops or 0.0 for t in made))
    assert row["with one training: FLOPs"].value == pytest.approx(sum(t.flops or 0.0 for t in made) + 3.67e12)
    assert (row["trials"].value, row["ended early"].value, row["without a score"].value) == (16, 1, 1)


def test_a_cost_that_some_trial_lacks_is_not_measured_and_no_axis() -> None:
    view = tuned_view(with_trials(flops=None))
    assert rows(view, "tuning_cost")["orpo"]["tuning: FLOPs"].reason == "16 of 16 trials did not record it"
    assert rows(view, "tuning_cost")["orpo"]["with one training: FLOPs"].value is None
    assert [panel.title for panel in figure(view, "tuning_best_of").panels] == [
        "by number of trials",
        "by training time",
    ]
    assert "by FLOPs of tuning, not measured: 16 of 16 trials did not record it" in " ".join(
        shown(view).paragraphs
    )


def test_trials_of_a_sampler_that_learns_are_no_independent_draws() -> None:
    view = tuned_view(make_tuning(sampler="tpe"))
    why = "the sampler (tpe) draws by the trials before"
    assert rows(view, "tuning_best_of")["orpo"]["4 trials"].no_interval == why
    assert all(series.low == () for series in figure(view, "tuning_best_of").panels[0].series)
    assert f"Not judged: {why}" in " ".join(shown(view).paragraphs)


def test_where_lower_is_better_the_best_is_the_lowest() -> None:
    made = make_tuning()
    turned = [replace_score(t, None if t.score is None else 1 - t.score) for t in made.trials]
    view = tuned_view(made.model_copy(update={"trials": turned, "higher_is_better": False}))
    low, high = (rows(one, "tuning_best_of")["orpo"]["4 trials"] for one in (view, tuned_view()))
    assert low.value == pytest.approx(1 - high.value)
    assert (low.low, low.high) == pytest.approx((1 - high.high, 1 - high.low))
    chosen = figure(view, "tuning_settings").panels[1].polylines
    assert next(line.places[-1] for line in chosen if line.kind == "chosen") == 1.0


def test_a_score_that_is_no_share_has_no_points() -> None:
    view = tuned_view(make_tuning(metric="preference.margin"))
    near = rows(view, "tuning_chosen")["orpo"]["others within 1 point"]
    assert near.reason == "preference.margin is no share, so that it has no points"
    assert "Not measured: preference.margin is no share" in " ".join(shown(view).paragraphs)


def test_a_search_in_which_every_trial_failed_still_shows_its_cost() -> None:
    view = tuned_view(with_trials(score=None, reason="out of memory"))
    names = {one.name for one in shown(view).tables}
    assert names == {"tuning_chosen", "tuning_cost", "tuning_trials"}
    assert shown(view).figures == ()
    assert "SFT no trial has a score" in " ".join(shown(view).paragraphs)


def test_of_random_weights_only_the_cost_is_shown() -> None:
    found = shown(tuned_view(random_weights=True))
    assert [one.name for one in found.tables] == ["tuning_cost"]
    assert "scores of trials mean nothing" in found.paragraphs[0]


def test_an_arm_without_trials_is_left_out() -> None:
    view = tuned_view(full=True)
    assert "sft_dpo_precomputed" not in rows(view, "tuning_cost")


def test_a_line_goes_through_the_settings_of_its_trial_to_its_score() -> None:
    view = tuned_view()
    panel = figure(view, "tuning_settings").panels[1]
    one = search(view, "sft_dpo")
    assert [upright.name for upright in panel.uprights] == [".".join(p) for p in one.places] + [
        one.tuning.metric
    ]
    assert {line.kind for line in panel.polylines} == {"chosen", "finished", "ended early", "no score"}
    failed = panel.polylines[FAILED]
    assert (failed.kind, failed.places[-1]) == ("no score", None)
    beta = range_of(one, ("dpo", "beta"))
    assert (beta.low, beta.high, beta.log) == (0.01, 0.5, True)
    value = one.trials[0].settings["dpo"]["beta"]
    assert panel.polylines[0].places[2] == pytest.approx(beta.place(value))
    assert 0 < beta.place(value) < 1


def test_a_space_that_does_not_hold_what_was_drawn_is_that_of_the_draws() -> None:
    view = tuned_view(make_tuning(space={}))
    one = search(view, "sft_dpo")
    drawn = [float(t.settings["dpo"]["beta"]) for t in one.trials]
    found = range_of(one, ("dpo", "beta"))
    assert (found.low, found.high) == (min(drawn), max(drawn))
    assert set(range_of(one, ("dpo", "loss")).choices) == {"sigmoid", "hinge"}


def test_the_json_has_the_record_and_what_is_said_of_it() -> None:
    view = tuned_view()
    data = comparison_data(findings(view))
    assert len(data["tuning"]["trials"]) == 48
    orpo = data["tuning"]["arms"]["orpo"]
    assert [row["trials"] for row in orpo["best_of"]] == list(range(1, 17))
    assert orpo["best_of"][15]["estimate"] == max(
        t.score or 0 for t in make_tuning().trials if t.arm == "orpo"
    )
    assert orpo["tuned_settings"] == ["orpo.learning_rate", "orpo.lambda"]
    assert data["provenance"]["stages"]["t3-orpo-orpo"] == {"name": "trial 3 of orpo"}


def test_methods_say_how_settings_were_searched_and_cite_the_estimate() -> None:
    report = build_report(tuned_view())
    (told,) = (one for one in report.methods if one.text.startswith("Settings were searched"))
    assert told.cites == ("dodge2019", "tang2020")
    assert {"dodge2019", "tang2020"} <= {one.key for one in report.references}


def test_searches_on_other_axes_say_their_budget() -> None:
    budget = make_tuning(axis="flops", amount=5e13)
    fewer = [t for t in budget.trials if t.arm != "sft_dpo" or t.number < 12]
    view = tuned_view(budget.model_copy(update={"trials": fewer}))
    assert "trials by arm: sft 16, sft_dpo 12, orpo 16 within 50 TFLOP an arm" in shown(view).paragraphs[0]
    assert rows(view, "tuning_best_of")["sft_dpo"]["16 trials"].applies is False


def test_a_score_that_is_not_finite_is_none() -> None:
    made = make_tuning()
    odd = [replace_score(t, float("nan")) if (t.arm, t.number) == ("orpo", 3) else t for t in made.trials]
    view = tuned_view(made.model_copy(update={"trials": odd}))
    cell = rows(view, "tuning_trials")["orpo 3"]["preference.accuracy"]
    assert (cell.value, cell.reason) == (None, "its score is not finite")
    assert search(view, "orpo").failed == 1


def replace_score(trial: TuningTrial, score: float | None) -> TuningTrial:
    return trial.model_copy(update={"score": score})
