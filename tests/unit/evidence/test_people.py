"""What people voted: their rate, their habits, and how far other judges agree, against figures by hand."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from synthetic import make_view

from harness.evidence.findings import findings
from harness.evidence.people import standing, voted
from harness.evidence.sections import people as section
from harness.evidence.statistics.agreement import agreement
from harness.evidence.view import ComparisonView
from harness.records import JudgeFacts, Score, StageUse
from harness.units import plain
from harness.votes import Vote, model_of

GRADE = "rubric.grade"


def view_with(votes: list[Vote], grades: dict[str, dict[str, float]]) -> ComparisonView:
    """The made comparison, graded by a judge `robot` and voted on."""
    view = make_view()
    record = view.record
    scores = {
        cell: [
            Score(
                benchmark="rubric",
                metric="grade",
                estimate=0.5,
                n=len(table),
                higher_is_better=True,
                settings={"judge": "robot"},
            )
        ]
        for cell, table in grades.items()
    }
    judge = record.results["prep"].model_copy(
        update={"digest": "judge", "kind": "judge", "name": "judge", "facts": JudgeFacts(cells=scores)}
    )
    changed = {
        "plan": record.plan.model_copy(update={"judge": "judge"}),
        "results": {**record.results, "judge": judge},
        "uses": {**record.uses, "judge": StageUse(digest="judge")},
    }
    items = {cell: {**view.items[cell], GRADE: table} for cell, table in grades.items()}
    return ComparisonView(
        record.model_copy(update=changed), {**view.items, **items}, view.series, votes=tuple(votes)
    )


def model(arm: str) -> str:
    view = make_view()
    (cell,) = (one for one in view.cells_of(arm) if one.seed == 0)
    return model_of(view.record.results[cell.stages[-1]])


def vote(n: int, preference: float | None, **changes: object) -> Vote:
    given = Vote(
        id=f"v{n}",
        time="2026-01-01T00:00:00+00:00",
        voter="ann",
        prompt_id=f"i{n}",
        split="test",
        a="orpo",
        b="sft_dpo",
        seed=0,
        order_seed=1,
        a_first=n % 2 == 0,
        again=False,
        preference=preference,
        milliseconds=1_000 + n,
        messages=[{"role": "user", "content": f"q{n}"}],
        answer_a="x",
        answer_b="y",
        model_a=model("orpo"),
        model_b=model("sft_dpo"),
    )
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


def grades(wins: int, count: int) -> dict[str, dict[str, float]]:
    """`robot` grades the first arm's answer higher on the first `wins` items."""
    return {
        "orpo@0": {f"i{n}": 1.0 if n < wins else 0.0 for n in range(count)},
        "sft_dpo@0": {f"i{n}": 0.5 for n in range(count)},
    }


def test_a_rate_counts_ties_as_half_and_leaves_skips_out() -> None:
    votes = [vote(n, 1.0) for n in range(12)] + [vote(n, 0.5) for n in range(12, 16)]
    votes += [vote(n, 0.0) for n in range(16, 20)] + [vote(20, None)]
    (one,) = voted(view_with(votes, grades(12, 20)))
    assert (one.votes, one.ties, one.skipped, one.pairs, one.test) == (20, 4, 1, 20, 20)
    assert one.win_rate.value == pytest.approx((12 + 2) / 20)
    assert one.win_rate.low is not None
    assert one.seconds == pytest.approx(1.0095)
    (beside,) = one.beside
    assert (beside.judge, beside.pairs) == ("robot", 20)
    assert beside.agreement.same.value == pytest.approx(16 / 20)


def test_few_votes_are_no_figure() -> None:
    (one,) = voted(view_with([vote(n, 1.0) for n in range(9)], grades(9, 9)))
    assert one.win_rate.value is None
    assert one.win_rate.reason == "9 judged pair(s), fewer than 10"


def test_a_leaning_to_the_left_shows() -> None:
    votes = [vote(n, 1.0 if n % 2 == 0 else 0.0) for n in range(20)]
    (one,) = voted(view_with(votes, {}))
    assert one.left.value == 1.0
    assert one.win_rate.value == 0.5


def test_second_looks_are_the_voters_own_agreement_and_no_votes() -> None:
    first = [vote(n, 1.0) for n in range(12)]
    second = [vote(100 + n, 1.0 if n < 9 else 0.0, prompt_id=f"i{n}", again=True) for n in range(12)]
    (one,) = voted(view_with(first + second, {}))
    assert (one.votes, one.shown_again) == (12, 12)
    assert one.itself.value == pytest.approx(9 / 12)
    assert one.win_rate.value == 1.0


def test_several_voters_are_one_mean_a_pair() -> None:
    votes = [vote(n, 1.0) for n in range(10)] + [
        vote(50 + n, 0.0, prompt_id=f"i{n}", voter="ben") for n in range(10)
    ]
    (one,) = voted(view_with(votes, {}))
    assert (one.voters, one.votes, one.pairs) == (("ann", "ben"), 20, 10)
    assert one.win_rate.value == 0.5


def test_votes_on_models_that_are_gone_do_not_count() -> None:
    stale = [vote(n, 0.0, model_a="o0 other weights") for n in range(20)]
    view = view_with(stale + [vote(n, 1.0, id=f"w{n}") for n in range(12)], {})
    assert len(standing(view)) == 12
    (one,) = voted(view)
    assert one.win_rate.value == 1.0
    made = section.section(findings(view))
    assert made is not None
    assert made.paragraphs == (
        "20 vote(s) are on answers of models that were trained again since, and are left out.",
    )


def test_the_section_shows_people_beside_the_other_judge() -> None:
    view = view_with([vote(n, float(n < 15)) for n in range(24)], grades(15, 24))
    made = section.section(findings(view))
    assert made is not None
    rates, voting, agreed = made.tables
    assert [plain(row[0]) for row in rates.rows] == ["human", "robot"]
    assert plain(rates.rows[0][-1]).startswith("62.5%")
    assert plain(voting.rows[0][2]) == "ann"
    assert plain(agreed.rows[0][-2]).startswith("100.0%")
    assert plain(agreed.rows[0][-1]).startswith("1.00")
    assert agreed.rows[0][-1].sources == ("judge",)


def test_nobody_voted_is_no_section() -> None:
    assert section.section(findings(make_view())) is None


def test_alpha_is_krippendorffs() -> None:
    """Krippendorff 2011's formula over all pairs of values, written out."""
    draw = random.Random(1)
    one = [draw.choice([0.0, 0.5, 1.0]) for _ in range(40)]
    other = [value if draw.random() < 0.7 else draw.choice([0.0, 0.5, 1.0]) for value in one]
    values = [*one, *other]
    observed = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
    n = len(values)
    expected = sum((a - b) ** 2 for a in values for b in values) / (n * (n - 1))
    found = agreement(one, other, [str(i) for i in range(40)])
    assert found.alpha.value == pytest.approx(1 - observed / expected)
    assert found.alpha.low is not None
    assert found.alpha.low < found.alpha.value


def test_independent_judges_have_an_alpha_of_about_none() -> None:
    """60 times two judges at random: intervals hold 0 about as often as they say."""
    draw = np.random.default_rng(5)
    held = 0
    for _ in range(60):
        one, other = draw.integers(0, 2, (2, 60)).astype(float)
        found = agreement(list(one), list(other), [str(i) for i in range(60)]).alpha
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
    assert held / 60 > 0.85


def test_pairs_of_one_prompt_are_no_independent_ones() -> None:
    one = [float(n % 3 == 0) for n in range(30)]
    other = [float(n % 3 == 0 and n % 4 != 0) for n in range(30)]
    apart = agreement(one * 4, other * 4, [str(n) for n in range(120)]).alpha
    together = agreement(one * 4, other * 4, [str(n % 30) for n in range(120)]).alpha
    assert together.value == apart.value
    assert together.low is not None
    assert apart.low is not None
    assert together.low < apart.low - 0.05


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [([], [], "no pair that both judged"), ([1.0] * 30, [1.0] * 30, "all ratings are one value")],
)
def test_what_says_nothing_has_a_reason(one: list[float], other: list[float], reason: str) -> None:
    found = agreement(one, other, [str(n) for n in range(len(one))]).alpha
    assert (found.value, found.reason) == (None, reason)
