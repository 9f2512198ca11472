"""`tuning:` of a comparison: what is taken and what is not, what trials draw, and when a search ends."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.pipeline._parity_special import stated_tuning
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ArmSpec, ComparisonSpec, StageSpec
from harness.pipeline.trials import Draw, for_trials, plan_trials
from harness.pipeline.tuning_budget import goes_on, spent
from harness.pipeline.tuning_draws import DIGITS, draw, draw_trial, space_of, value_at, with_settings
from harness.pipeline.tuning_pruning import BRACKETS, FEWEST, RUNGS, bracket_of, end_rule
from harness.pipeline.tuning_spec import SettingSpace, Space
from harness.pipeline.tuning_tpe import RANDOM_TRIALS, draw_by_tpe
from harness.records import TuningTrial

RATE = SettingSpace(low=1e-4, high=1e-2, log=True, source="a test")
SPACE: Space = {
    "sft": {"learning_rate": RATE},
    "dpo": {"beta": SettingSpace(low=0.1, high=1, source="a test")},
}


def tuned(*sets: str, **overrides: Any) -> ComparisonSpec:
    return load_comparison(find_comparison("tuned", model=None), Overrides(sets=sets, **overrides))


def trial(number: int, score: float | None, settings: Any = None, **more: Any) -> TuningTrial:
    given = {} if settings is None else settings
    reason = None if score is not None else "diverged"
    return TuningTrial(arm="a", number=number, settings=given, score=score, reason=reason, **more)


# What a file may say.


def test_the_shipped_comparison_is_tuned_with_equal_effort() -> None:
    spec = tuned()
    assert spec.tuning is not None
    assert spec.tuning.budget.axis == "trials"
    assert spec.tuning.budget.amount == 16
    assert [arm.name for arm in spec.arms] == ["sft", "sft_dpo", "orpo"]
    assert all(space_of(spec.tuning.space, arm) for arm in spec.arms)


NEW = "{low: 0.1, high: 1.0, source: why}"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (f"tuning.space.dp={{beta: {NEW}}}", r'unknown stage of tuning.space "dp"; did you mean "dpo"'),
        (f"tuning.space.dpo.bta={NEW}", r'unknown key of stage dpo "bta"; did you mean "beta"'),
        (f"tuning.space.orpo.lambda_={NEW}", r'unknown key of stage orpo "lambda_"; did you mean "lambda"'),
        (
            "tuning.space.dpo.beta={low: -1.0, high: 1.0, source: why}",
            r"stages.dpo.beta is -1.0; give a number",
        ),
        ("tuning.space.dpo.warmup_ratio={low: 0.0, high: 1.5, source: why}", r"warmup_ratio is 1.5; give"),
        ("tuning.space.dpo.reference={choices: [later], source: why}", r"stages.dpo.reference is 'later'"),
        (
            "tuning.space.sft.batch_size={low: 1.0, high: 64.0, source: why}",
            r"batch_size .* whole number|batch_size",
        ),
        ("tuning.space.dpo.beta={low: 0.1, high: 1.0}", r"tuning.space.dpo.beta.source is missing"),
        ("tuning.space.dpo.beta={low: 0.1, source: why}", r"over a range or over choices; give low and high"),
        (
            "tuning.space.dpo.beta={low: 1.0, high: 0.1, source: why}",
            r"low is 1.0 and high is 0.1; give a high",
        ),
        ("tuning.space.dpo.beta={low: 0.0, high: 1.0, log: true, source: w}", r"low is 0.0 on a logarithmic"),
        ("tuning.metric=preferences.accuracy", r'unknown benchmark "preferences"; did you mean "preference"'),
        ("tuning.metric=preference", r"tuning.metric is preference, which names no metric"),
        ("tuning.seed=1", r"tuning.seed 1 is a seed of the comparison; give tuning a seed of its own"),
        ("tuning.sampler=grid", r"tuning.sampler is 'grid'; give one of 'random' or 'tpe'"),
        ("tuning.budget.axis=hours", r"tuning.budget.axis is 'hours'; give"),
        ("tuning.budget.amount=2.5", r"amount is 2.5 trials; give a whole number"),
        (
            "tuning_trials_per_arm={sft: 8}",
            r"tuning_trials_per_arm is stated, and tuning: says and counts it",
        ),
        ("budget={axis: flops, of: sft}", r"budget.axis is flops, which sets the steps"),
        ("development=true", r"development is written by the trials of a search"),
    ],
)
def test_mistakes_have_one_clear_message(sets: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tuned(sets)


def test_a_pruner_needs_what_probes_measure() -> None:
    with pytest.raises(UserError, match=r"pruner median reads probes, which measure preference.accuracy"):
        tuned("tuning.pruner=median", "tuning.metric=rubric.grade")


def test_an_arm_that_is_not_searched_beside_tuned_ones_is_refused() -> None:
    with pytest.raises(UserError, match=r"nothing of arm orpo is searched, while other arms are tuned"):
        tuned("tuning.space={sft: {learning_rate: {low: 0.001, high: 0.01, source: why}}}")


# What trials draw.


@pytest.mark.parametrize("log", [False, True])
def test_draws_stay_within_their_bounds(log: bool) -> None:
    rng = random.Random(0)
    for share in (0.0, 1 - 2**-53, *(rng.random() for _ in range(200))):
        low, width = rng.uniform(1e-6, 1), rng.uniform(1.5, 1e3)
        space = SettingSpace(low=low, high=low * width, log=log, source="a test")
        assert low <= float(value_at(space, share)) <= low * width


def test_a_logarithmic_scale_is_uniform_in_the_logarithm() -> None:
    logs = [
        math.log10(float(draw(RATE, seed=0, stage="sft", key="learning_rate", number=n))) for n in range(2000)
    ]
    assert statistics.mean(logs) == pytest.approx(-3, abs=0.05)
    assert statistics.quantiles(logs, n=4) == pytest.approx([-3.5, -3, -2.5], abs=0.06)


def test_whole_numbers_and_choices_are_all_drawn_alike() -> None:
    whole = SettingSpace(low=1, high=4, source="a test")
    words = SettingSpace(choices=["a", "b"], source="a test")
    drawn = [draw(whole, seed=0, stage="s", key="k", number=n) for n in range(4000)]
    assert {type(one) for one in drawn} == {int}
    assert sorted(set(drawn)) == [1, 2, 3, 4]
    assert min(drawn.count(one) for one in range(1, 5)) > 900
    assert {draw(words, seed=0, stage="s", key="k", number=n) for n in range(50)} == {"a", "b"}
    assert value_at(SettingSpace(low=1, high=8, log=True, source="a test"), 0.9999999) == 8


def test_numbers_are_the_same_where_spaces_agree_and_nowhere_else() -> None:
    sft, both = {"sft": SPACE["sft"]}, SPACE
    first, second = draw_trial(sft, seed=3, number=7), draw_trial(both, seed=3, number=7)
    assert first["sft"] == second["sft"]
    assert draw_trial(sft, seed=3, number=8) != first
    assert draw_trial(sft, seed=4, number=7) != first
    assert len(f"{first['sft']['learning_rate']:g}".replace(".", "").strip("0")) <= DIGITS


def test_what_an_arm_sets_itself_is_not_searched() -> None:
    arm = ArmSpec(name="a", stages=[StageSpec(method="sft"), StageSpec(method="dpo", config={"beta": 0.3})])
    assert space_of(SPACE, arm) == {"sft": SPACE["sft"]}


# Trials as a plan.


def test_trials_share_their_stages_and_see_development_pairs_alone() -> None:
    spec = for_trials(tuned())
    assert spec.tuning is not None
    draws = [
        Draw(a.name, 1, draw_trial(space_of(spec.tuning.space, a), seed=1000, number=1)) for a in spec.arms
    ]
    plan = plan_trials(spec, Resolved(), draws, run_id="t")
    cells = {cell.arm: cell for cell in plan.cells}
    assert cells["sft"].stages == cells["sft_dpo"].stages[:1]
    assert {plan.stages[d].seed for cell in plan.cells for d in cell.stages} == {1000}
    assert plan.stages[plan.prepare].config["development"] is True
    assert plan.rehearsals == []
    assert plan.stages[cells["orpo"].stages[0]].name == "orpo/orpo of trial 1"
    assert (
        plan.stages[cells["orpo"].stages[0]].config["config"]["lambda"] == draws[2].settings["orpo"]["lambda"]
    )


def test_a_stage_that_may_be_ended_is_another_one_than_one_that_may_not() -> None:
    spec = for_trials(tuned())
    settings = {"sft": {"learning_rate": 0.003}, "dpo": {"beta": 0.2}}
    curves = {n: [(0.0, 0.5), (0.5, 0.6), (1.0, 0.7)] for n in range(1, 7)}
    rule = end_rule("median", curves, 7)
    plans = [
        plan_trials(spec, Resolved(), [Draw("sft_dpo", 7, settings, r)], run_id="t") for r in (None, rule)
    ]
    free, ruled = (plan.cells[0].stages for plan in plans)
    assert free[0] == ruled[0]
    assert free[1] != ruled[1]
    assert plans[1].stages[ruled[1]].config["end_early"]["least"] == [[0.5, 0.6]]


def test_winners_are_planned_as_if_the_file_had_their_settings(tmp_path: Path) -> None:
    chosen = {
        "sft": {"sft": {"learning_rate": 0.002}},
        "orpo": {"orpo": {"learning_rate": 0.006, "lambda": 0.7}},
    }
    by_search = tuned(arms=["sft", "orpo"], tuned=chosen)
    file = tmp_path / "by_hand.yaml"
    text = find_comparison("tuned", model=None).read_text()
    file.write_text(
        text.replace("    learning_rate: 0.003\n    lambda: 0.3", "    learning_rate: 0.006\n    lambda: 0.7")
    )
    by_hand = load_comparison(file, Overrides(arms=["sft", "orpo"], sets=("stages.sft.learning_rate=0.002",)))
    cells = [plan_comparison(spec, Resolved()).cells for spec in (by_search, by_hand)]
    assert cells[0] == cells[1]


def test_settings_of_one_arm_leave_the_others_alone() -> None:
    spec = tuned()
    changed = with_settings(spec.arms[1], {"sft": {"learning_rate": 0.5}})
    assert changed.stages[0].config == {"learning_rate": 0.5}
    assert changed.stages[1] == spec.arms[1].stages[1]


def test_the_audit_reads_the_search() -> None:
    checks = {one.check: one for one in stated_tuning(plan_comparison(tuned(), Resolved()))}
    assert checks["tuning_trials"].equal is True
    assert checks["tuning_trials"].detail == "16 trials in every arm"
    assert checks["search_space"].detail.endswith(
        "dpo.learning_rate, dpo.beta, orpo.learning_rate, orpo.lambda"
    )
    stated = load_comparison(find_comparison("embedded", model=None))
    by_hand = {one.check: one for one in stated_tuning(plan_comparison(stated, Resolved()))}
    assert by_hand["tuning_trials"].detail == "sft 8, sft_dpo 8, orpo 8"


# When a search ends.


@pytest.mark.parametrize("seed", range(30))
def test_arms_end_within_one_trial_of_the_amount(seed: int) -> None:
    rng = random.Random(seed)
    costs, amount = [rng.uniform(0.5, 2.0) for _ in range(60)], rng.uniform(2, 20)
    trials: list[TuningTrial] = []
    while goes_on(trials, "flops", amount, costs[0]):
        trials.append(trial(len(trials) + 1, 0.5, flops=costs[len(trials)]))
    assert abs(spent(trials, "flops", 1.0) - amount) <= max(costs)


def test_trials_are_counted_also_where_they_fail() -> None:
    trials = [trial(n, None) for n in range(1, 16)]
    assert goes_on(trials, "trials", 16, 1.0)
    assert not goes_on([*trials, trial(16, None)], "trials", 16, 1.0)


def test_a_failed_trial_is_charged_what_others_took() -> None:
    known = [trial(1, 0.5, flops=3.0), trial(2, 0.5, flops=5.0)]
    assert spent([*known, trial(3, None)], "flops", 9.0) == 12
    assert spent([trial(1, None)], "flops", 9.0) == 9


# When a trial ends.


def curve(*values: float) -> list[tuple[float, float]]:
    return [(i / (len(values) - 1), value) for i, value in enumerate(values)]


def test_the_median_rule_is_that_of_earlier_trials_at_each_probe() -> None:
    curves = {n: curve(0.5, 0.5 + n / 100, 0.6 + n / 100, 0.9) for n in range(1, FEWEST + 1)}
    assert end_rule("median", {1: curves[1]}, 2) is None
    assert end_rule("none", curves, 9) is None
    curves[3] = curves[3][:2]
    rule = end_rule("median", curves, FEWEST + 1)
    assert rule is not None
    assert rule.by == "median"
    assert [least for _, least in rule.least] == pytest.approx(
        [0.53, statistics.median([0.61, 0.62, 0.64, 0.65])]
    )


def test_hyperband_keeps_the_best_third_of_a_bracket_at_its_rungs() -> None:
    first = [n for n in range(1, 13) if bracket_of(n) == 0]
    curves = {n: curve(0.5, *(0.5 + n / 100 for _ in range(6))) for n in first}
    rule = end_rule("hyperband", curves, 13)
    assert rule is not None
    assert [share for share, _ in rule.least] == pytest.approx([1 / 6, 2 / 6])
    # Six trials and this one: the best two go on.
    assert [least for _, least in rule.least] == pytest.approx([0.5 + sorted(first)[-2] / 100] * 2)
    assert end_rule("hyperband", {}, 1) is None
    unpruned = BRACKETS.index(RUNGS.index(())) + 1
    assert end_rule("hyperband", {n: curve(0.5, 0.1, 0.9) for n in range(1, 7)}, unpruned + 6) is None


# TPE.


def by_tpe(number: int, earlier: list[TuningTrial]) -> Any:
    return draw_by_tpe(SPACE, earlier, seed=5, number=number, higher_is_better=True)


def searched(trials: int) -> list[TuningTrial]:
    """A search whose best lies at a rate of 0.001 and a beta of 0.2."""
    found: list[TuningTrial] = []
    for number in range(1, trials + 1):
        settings = by_tpe(number, found)
        off = abs(math.log10(settings["sft"]["learning_rate"]) + 3) + abs(settings["dpo"]["beta"] - 0.2)
        found.append(trial(number, -off, settings))
    return found


def test_tpe_begins_at_random_and_then_goes_where_trials_were_good() -> None:
    pytest.importorskip("optuna")
    found = searched(30)
    assert found[0].settings == draw_trial(SPACE, seed=5, number=1)
    assert found[RANDOM_TRIALS - 1].settings == draw_trial(SPACE, seed=5, number=RANDOM_TRIALS)
    scores = [one.score or 0 for one in found]
    assert statistics.mean(scores[20:]) > statistics.mean(scores[:RANDOM_TRIALS])
    for one in found:
        assert 1e-4 <= float(one.settings["sft"]["learning_rate"]) <= 1e-2
        assert 0.1 <= float(one.settings["dpo"]["beta"]) <= 1


def test_a_resumed_tpe_search_draws_what_an_uninterrupted_one_does() -> None:
    pytest.importorskip("optuna")
    whole = searched(16)
    kept = [TuningTrial.model_validate_json(one.model_dump_json()) for one in whole[:13]]
    assert by_tpe(14, kept) == whole[13].settings


def test_tpe_takes_failed_and_ended_trials_for_bad_ones() -> None:
    pytest.importorskip("optuna")
    good = searched(12)
    bad = [trial(13, None, good[0].settings), trial(14, 0.9, good[0].settings, pruned_at=0.5)]
    assert by_tpe(15, [*good, *bad]) == by_tpe(15, [*good, *bad])
    near = [by_tpe(15 + i, [*good, *bad])["sft"]["learning_rate"] for i in range(5)]
    assert all(abs(math.log10(float(rate)) + 3) < 1 for rate in near)
