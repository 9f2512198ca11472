"""What is left of a comparison, from forecasts and the times so far."""

from __future__ import annotations

import pytest
from synthetic import make_record, measured, rehearsed

from harness.records import (
    AnsweringTrial,
    ComparisonRecord,
    PairScoringTrial,
    Plan,
    PlannedStage,
    RehearseEvaluateFacts,
    StageResult,
)
from harness.running.outlook import COUNTED_AGAIN, look_ahead, rehearsal_of, shared_rate
from harness.running.parts import Parts, mean_parts, parts_of
from harness.running.time_left import At, left_of_stage, time_left

PARTS = Parts(before=10.0, steps=100.0, after=20.0)


def train(seconds: dict[str, float], whole: str = "00:02:00") -> StageResult:
    ledger = [measured(f"{name}_seconds", value, "s") for name, value in seconds.items()]
    update = {"kind": "train", "ledger": ledger, "finished_at": f"2026-01-01T{whole}"}
    return rehearsed("dpo").model_copy(update=update)


def test_what_no_phase_booked_comes_after_the_last_step() -> None:
    """Two minutes of work: 3 + 4 + 50 + 5 + 1 booked, 57 spent on counting, and start-up stands before."""
    took = parts_of(
        train({"start_up": 6, "model_load": 3, "reference": 4, "train": 50, "evaluation": 5, "save": 1})
    )
    assert took == Parts(before=13, steps=55, after=58)
    assert took.total == 126


def test_a_pass_that_was_read_took_what_reading_took() -> None:
    """It is charged with 40 seconds that this process did not spend."""
    charged = {"reference": 40, "reference_read": 1, "amortised": 55}
    took = parts_of(train({"start_up": 6, "model_load": 3, "train": 50, "save": 1, **charged}))
    assert (took.before, took.total) == (10, 126)


def test_means_of_parts() -> None:
    assert mean_parts([Parts(1, 2, 3), Parts(3, 4, 5)]) == Parts(2, 3, 4)
    assert mean_parts([]) is None


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (At("s", now=0), 130),
        (At("s", now=4), 126),
        (At("s", now=60), 120),  # Starting takes longer than foretold: the steps are still to come.
        (At("s", now=60, step=50, total=100, step_at=60, first=(1, 11)), 50 + 20),
        (At("s", now=110.5, step=50, total=100, step_at=110, first=(1, 12)), 100 - 0.5 + 20 - 100 / 110 * 5),
        (At("s", now=115, step=100, total=100, step_at=110, first=(1, 11)), 15),
        (At("s", now=131, step=100, total=100, step_at=110, first=(1, 11)), None),
        (At("s", now=40, steps_over=35), 15),  # A cell without answers has no steps.
    ],
)
def test_a_stage_is_corrected_by_its_own_steps(at: At, left: float | None) -> None:
    """Twice as slow as foretold counts almost twice; after the last step what is left is what follows it."""
    found = left_of_stage(PARTS, at)
    assert found == (None if left is None else pytest.approx(left, abs=0.8))


def test_nothing_left_is_never_a_number() -> None:
    """While FLOPs are counted for longer than expected, nobody says 0 s."""
    for now in (130.0, 131.0, 500.0):
        assert left_of_stage(PARTS, At("s", now=now, step=9, total=9, step_at=110, first=(1, 11))) is None
    assert left_of_stage(None, At("s", now=5)) is None


def test_without_a_forecast_the_steps_alone_tell() -> None:
    at = At("judge", now=30, step=3, total=9, step_at=30, first=(1, 10))
    assert left_of_stage(None, at) == pytest.approx(60)
    assert left_of_stage(None, At("judge", now=30, step=1, total=3, step_at=30, first=(1, 30))) == 60


def record() -> ComparisonRecord:
    return make_record(full=True)


def planned(kept: set[str] | None = None) -> tuple[Plan, dict[str, StageResult]]:
    """The made comparison with `kept` of its results; every stage took its minute."""
    whole = record()
    results = whole.results if kept is None else {d: r for d, r in whole.results.items() if d in kept}
    return whole.plan, dict(results)


BEFORE = {"prep", "re-sft", "re-dpo", "re-orpo", "re-pre"}


def test_reused_stages_take_nothing() -> None:
    plan, results = planned()
    assert time_left(look_ahead(plan, results), None, report=7.0).whole == 7.0


def test_nothing_is_said_of_the_whole_before_all_is_rehearsed() -> None:
    plan, results = planned(BEFORE - {"re-orpo"})
    assert time_left(look_ahead(plan, results), None).whole is None
    plan, results = planned(BEFORE)
    assert time_left(look_ahead(plan, results), None).whole is not None


def test_what_is_not_foretold_is_named() -> None:
    """No rehearsal of scoring stands in this plan."""
    plan, results = planned(BEFORE)
    assert time_left(look_ahead(plan, results), None).on_top == ("scoring",)
    plan, results = planned(BEFORE | {"ev-sft0"})
    assert time_left(look_ahead(plan, results), None).on_top == ()


def test_another_seed_of_a_stage_takes_what_the_first_took() -> None:
    plan, results = planned(BEFORE | {"dpo0"})
    assert look_ahead(plan, results).stages["dpo1"].parts == parts_of(results["dpo0"])


def test_other_stages_are_foretold_at_the_rate_of_those_that_ran() -> None:
    """SFT took four times as long as foretold: of another stage that tells twice as long, of a third more."""
    plan, results = planned(BEFORE)
    before = look_ahead(plan, results).stages["orpo0"].parts
    assert before is not None
    foretold_sft = look_ahead(plan, results).stages["sft0"].parts
    assert foretold_sft is not None
    slow = [measured("train_seconds", 4 * foretold_sft.steps, "s")]
    results["sft0"] = record().results["sft0"].model_copy(update={"ledger": slow})
    after = look_ahead(plan, results).stages["orpo0"].parts
    assert after is not None
    assert after.steps == pytest.approx(2 * before.steps)
    assert shared_rate([4.0, 4.0]) == pytest.approx(4 ** (2 / 3))
    assert shared_rate([]) == 1.0


def test_a_stage_belongs_to_the_rehearsal_of_its_job() -> None:
    plan, _ = planned()
    assert rehearsal_of(plan, plan.stages["dpo0"]) == "re-dpo"
    assert rehearsal_of(plan, plan.stages["orpo1"]) == "re-orpo"


def scoring_plan(facts: RehearseEvaluateFacts) -> tuple[Plan, dict[str, StageResult]]:
    plan, results = planned(BEFORE)
    stage = PlannedStage(digest="re-ev", kind="rehearse_evaluate", name="rehearse scoring", seed=0, config={})
    plan = plan.model_copy(
        update={
            "stages": {**plan.stages, "re-ev": stage},
            "order": ["re-ev", *plan.order],
            "rehearse_evaluate": "re-ev",
        }
    )
    update = {"kind": "rehearse_evaluate", "facts": facts, "ledger": [measured("start_up_seconds", 3.0, "s")]}
    results["re-ev"] = rehearsed("dpo").model_copy(update=update)
    return plan, results


def test_scoring_is_foretold_by_the_lengths_of_the_data_and_is_at_most_its_bound() -> None:
    """Chosen answers of the made data have up to 9 tokens (95%), a pair's sequence 10 of the rehearsed 20."""
    answering = AnsweringTrial(
        answers=100,
        batch=50,
        prompt_tokens=5,
        new_tokens=200,
        cache_tokens=205,
        prefill_seconds=1.0,
        seconds_per_token=0.01,
    )
    pairs = PairScoringTrial(pairs=100, batch=10, tokens=20, seconds_per_pair=0.1)
    facts = RehearseEvaluateFacts(answering=answering, pair_scoring=pairs, not_foretold=["lm_eval"])
    plan, results = scoring_plan(facts)
    outlook = look_ahead(plan, results)
    parts = outlook.stages["ev-orpo1"].parts
    assert parts == Parts(before=3.0, steps=2 * (1 + 9 * 50 * 0.01), after=pytest.approx(100 * 0.1 * 10 / 20))
    assert parts.total < facts.most_seconds
    assert time_left(outlook, None).on_top == ("lm_eval",)


def test_the_whole_is_the_stage_that_runs_and_all_that_follows() -> None:
    plan, results = planned(set(record().results) - {"orpo1", "ev-orpo1"})
    outlook = look_ahead(plan, results)
    at = At("orpo1", now=0.0)
    left = time_left(outlook, at, report=5.0)
    parts, scoring = outlook.stages["orpo1"].parts, outlook.stages["ev-orpo1"].parts
    assert parts is not None
    assert scoring is not None
    assert left.stage == pytest.approx(parts.total)
    assert left.whole == pytest.approx(parts.total + scoring.total + 5)


def test_a_first_stage_that_is_slow_tells_of_those_to_come() -> None:
    """Nine times slower than rehearsed after all of its steps: those of the others three times."""
    plan, results = planned(BEFORE)
    outlook = look_ahead(plan, results)
    mine, other = outlook.stages["sft0"].parts, outlook.stages["orpo0"].parts
    assert mine is not None
    assert other is not None
    took = 9 * mine.steps * 27 / 28
    slow = At("sft0", now=took, step=28, total=28, step_at=took, first=(1, 0.0))
    as_rehearsed = At(
        "sft0", now=took, step=28, total=28, step_at=took, first=(1, took - mine.steps * 27 / 28)
    )
    later, sooner = time_left(outlook, slow).whole, time_left(outlook, as_rehearsed).whole
    assert later is not None
    assert sooner is not None
    trained = sum(
        s.parts.steps for d, s in outlook.stages.items() if s.kind == "train" and d != "sft0" and s.parts
    )
    assert later - sooner == pytest.approx(2 * trained, rel=0.05)
    results["sft1"] = record().results["sft1"]
    assert look_ahead(plan, results).stages["sft0"].rehearsed is False


def test_imports_that_one_stage_waited_for_are_not_foretold_of_others() -> None:
    """On several devices each rehearsal is the first stage of a worker; in a block only one stage is."""
    plan, results = planned(BEFORE)
    quick = {
        d: r.model_copy(update={"ledger": [measured("start_up_seconds", 0.2, "s")]})
        for d, r in results.items()
    }
    slow = quick | {
        d: quick[d].model_copy(update={"ledger": [measured("start_up_seconds", 9.0, "s")]})
        for d in BEFORE - {"prep"}
    }
    assert look_ahead(plan, slow).stages["orpo1"].parts == look_ahead(plan, quick).stages["orpo1"].parts


def test_counts_that_are_kept_are_not_foretold_again() -> None:
    """The rehearsal counted for 40 of its 60 seconds."""
    plan, results = planned(BEFORE)
    before = look_ahead(plan, results).stages["orpo1"].parts
    counting = results["re-orpo"].model_copy(update={"ledger": [measured("counting_seconds", 40.0, "s")]})
    after = look_ahead(plan, {**results, "re-orpo": counting}).stages["orpo1"].parts
    assert before is not None
    assert after is not None
    assert before.after - after.after == pytest.approx((1 - COUNTED_AGAIN) * 40)
