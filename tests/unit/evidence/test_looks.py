"""Seeds added look by look: the error over all looks, what is open, what is saved, and what a report says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.answers import answers, scored_before
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.methods_text import methods
from harness.evidence.findings import findings
from harness.evidence.sections.questions import questions_table
from harness.evidence.sections.summary import registered_answers
from harness.evidence.sequence import open_questions, saved
from harness.evidence.statistics.calibration_cases import simulated
from harness.evidence.statistics.calibration_looks import LOOKS, looks_cases, simulate
from harness.evidence.statistics.family import Statements
from harness.evidence.statistics.looks import at_look, weights
from harness.evidence.view import ComparisonView

SIMULATIONS = 2_000
QUESTIONS = (
    {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": 0.05},
    {"quantity": "rubric.grade", "a": "orpo", "b": "sft_dpo", "margin": None},
    {"quantity": "cost.flops", "a": "orpo", "b": "sft_dpo", "margin": None},
    {"quantity": "cost.peak_memory_bytes", "a": "orpo", "b": "kto", "margin": None},
)


def share(most: float) -> float:
    """`most` and three standard errors of a share over so many simulations."""
    return most + 3 * math.sqrt(most * (1 - most) / SIMULATIONS)


@pytest.mark.parametrize("looks", [1, 2, 3, 7])
def test_shares_of_the_error_sum_to_one_and_grow(looks: int) -> None:
    shares = weights(looks)
    assert math.fsum(shares) == pytest.approx(1)
    assert list(shares) == sorted(shares)
    assert weights(3) == pytest.approx((1 / 6, 1 / 3, 1 / 2))


def test_every_p_pays_for_its_look() -> None:
    one = at_look(Statements(0.01, 0.004, 0.4), 0.25)
    assert (one.difference, one.not_worse, one.not_better) == pytest.approx((0.04, 0.016, 1.0))
    assert at_look(Statements(None), 0.25) == Statements(None)
    assert at_look(Statements(0.3, 0.2, 0.1), 1.0) == Statements(0.3, 0.2, 0.1)


@pytest.mark.parametrize("error", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("truths", [(0.0,), (0.0,) * 3, (-1.0,) * 3, (1.0,) * 3, (-1.0, 0.0, 1.0)])
def test_no_sequence_of_looks_is_told_falsely_too_often(truths: tuple[float, ...], error: float) -> None:
    result = simulate(truths, error, SIMULATIONS)
    assert result.wrong <= share(0.05)
    assert result.wrong_margin <= share(0.025)


def test_peeking_without_adjustment_errs_too_often() -> None:
    """The simulation would see it: one question, an arm against itself, three looks at 5% each."""
    assert simulate((0.0,), 0.5, SIMULATIONS, shares=(1.0,) * 3).wrong > share(0.05)


def test_a_large_effect_stops_early_and_a_small_one_does_not() -> None:
    assert simulate((4.0,) * 3, 0.3, SIMULATIONS).seeds < 0.6 * LOOKS[-1]
    assert simulate((0.0,) * 3, 2.0, 500).seeds > 0.95 * LOOKS[-1]


def test_the_grid_has_both_errors_of_every_truth() -> None:
    cases = simulated(looks_cases(200))
    assert len(cases) == 2 * 9 * 3
    assert all(case.holds for case in cases)


def looked(number: int | None, *, seeds: int = 3, earlier: tuple[str, ...] = ()) -> ComparisonView:
    """The made comparison as a look of three, or with its seeds fixed."""
    look = {"number": number, "weights": list(weights(3)), "earlier": list(earlier)}
    spec: dict[str, Any] = {"questions": QUESTIONS, "looks": [3, 5, 10]}
    return make_view(seeds=tuple(range(seeds)), **spec, **({} if number is None else {"look": look}))


def test_answers_of_a_look_pay_for_it_and_those_of_fixed_seeds_do_not() -> None:
    fixed = answers(looked(None))
    assert fixed[0].p is not None
    for number, weight in enumerate(weights(3), 1):
        one = answers(looked(number))[0]
        assert one.p == pytest.approx(min(1.0, fixed[0].p / weight))
        assert one.p_not_worse == pytest.approx(min(1.0, (fixed[0].p_not_worse or 0.0) / weight))


def test_what_is_open_is_what_seeds_may_answer() -> None:
    undecided = open_questions(answers(looked(1)))
    assert [one.quantity for one in undecided] == ["rubric.grade"]


def test_what_stopping_saves_is_estimated_from_the_mean_block() -> None:
    """SFT once, DPO and ORPO: 65 s at seed 0, a tenth more at each next."""
    one = saved(looked(1))
    assert one.seeds == 7
    assert one.seconds == pytest.approx(7 * 65 * 1.1)
    view = looked(1)
    results = {
        digest: stage.model_copy(update={"ledger": []}) if digest == "orpo1" else stage
        for digest, stage in view.record.results.items()
    }
    unknown = replace(view, record=view.record.model_copy(update={"results": results}))
    assert saved(unknown).seconds is None
    assert saved(looked(3, seeds=10)).seeds == 0


def test_the_report_says_which_look_it_is_of() -> None:
    view = looked(2)
    table = questions_table(view, answers(view))
    assert table is not None
    assert "Look 2 of 3 (at 3, 5, 10 seeds): every p is adjusted for peeking" in table.notes[1]
    statements, references = methods(findings(view))
    text = " ".join(statement.text for statement in statements)
    assert "Seeds were added in looks written down before the run (at 3, 5, 10 seeds)" in text
    assert "this is look 2 of 3" in text
    assert "jennison2000" in [reference.key for reference in references]
    data = comparison_data(findings(view))
    assert data["look"] == {"number": 2, "weights": list(weights(3)), "earlier": []}
    fixed = looked(None)
    assert comparison_data(findings(fixed))["look"] is None
    table = questions_table(fixed, answers(fixed))
    assert table is not None
    assert "peeking" not in " ".join(table.notes)
    assert "looks" not in " ".join(statement.text for statement in methods(findings(fixed))[0])


def test_the_first_page_says_that_one_question_is_adjusted_for_looks() -> None:
    """Alone its interval excludes zero; over three looks it is not separable, and the page says why."""
    view = looked(1)
    alone = {**view.record.plan.spec, "questions": [{**QUESTIONS[0], "margin": None}]}
    plan = view.record.plan.model_copy(update={"spec": alone})
    items = {cell: dict(tables) for cell, tables in view.items.items()}
    for seed, gain in enumerate((0.010, 0.014, 0.018)):
        for arm, more in (("orpo", gain), ("sft_dpo", 0.0)):
            values = {f"i{i}": 0.5 + 0.001 * i + more for i in range(20)}
            items[f"{arm}@{seed}"] = {"preference.accuracy": values}
    found = findings(replace(view, record=view.record.model_copy(update={"plan": plan}), items=items))
    (one,) = found.answers
    assert one.estimate.low is not None
    assert one.estimate.low > 0
    assert one.verdict.outcome == "not separable"
    text = " ".join(registered_answers(found))
    assert (
        "adjusted over 3 looks, of which this is number 1; each interval is of one question and look" in text
    )
    assert "over 1 question and 3 looks together that is not separable" in text


def test_earlier_looks_do_not_spoil_a_registration_and_other_runs_do() -> None:
    view = looked(2, earlier=("made-look1",))
    scored = str(view.record.plan.cells[0].evaluate)
    for owner, count in (("made-look1", 0), ("another-run", 1)):
        uses = {**view.record.uses}
        uses[scored] = uses[scored].model_copy(update={"reused_from": owner})
        seen = replace(view, record=view.record.model_copy(update={"uses": uses}))
        assert scored_before(seen)[0] == count
