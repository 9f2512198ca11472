"""The expected best of trials against brute force, and what is said of leads, closeness and importance."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from scipy import stats

from harness.evidence.statistics.best_of import BestOf, Gap, best_of, chances, gap
from harness.evidence.statistics.calibration_tuning import tuning_cases
from harness.evidence.statistics.importance import importance
from harness.evidence.statistics.near_best import difference, near_best
from harness.evidence.statistics.overtaking import (
    Step,
    Stretch,
    by_cost,
    by_estimate,
    by_trials,
    stretches,
    surely,
)

TIED = [0.5, 0.8, 0.8, 0.3, 0.3, 0.9]


def test_the_expected_best_is_the_mean_over_every_order_of_the_trials() -> None:
    orders = np.array(list(itertools.permutations(TIED)))
    brute = np.maximum.accumulate(orders, axis=1).mean(axis=0)
    assert best_of(TIED, None).value == pytest.approx(tuple(brute), abs=1e-12)


def test_the_expected_best_is_what_many_orders_drawn_by_chance_reach() -> None:
    scores = np.random.default_rng(1).beta(5, 2, 25)
    orders = np.random.default_rng(2).permuted(np.tile(scores, (20_000, 1)), axis=1)
    reached = np.maximum.accumulate(orders, axis=1)
    error = reached.std(axis=0) / np.sqrt(len(reached)) + 1e-9
    assert (np.abs(np.array(best_of(scores, None).value) - reached.mean(axis=0)) < 4.5 * error).all()


def test_the_estimate_is_unbiased_where_drawing_with_replacement_is_not() -> None:
    """The best of 4 uniform numbers is 0.8 on average, estimated from 6 of them."""
    drawn = np.sort(np.random.default_rng(3).random((20_000, 6)), axis=1)
    places = np.arange(1, 7)
    with_replacement = drawn @ ((places / 6) ** 4 - ((places - 1) / 6) ** 4)
    assert (drawn @ chances(6, 4)).mean() == pytest.approx(0.8, abs=0.003)
    assert with_replacement.mean() < 0.77


@pytest.mark.parametrize("k", [1, 7, 1_000, 2_000])
def test_chances_of_many_trials_add_up(k: int) -> None:
    chance = chances(2_000, k)
    assert chance.sum() == pytest.approx(1.0)
    assert (chance >= 0).all()


def test_intervals_hold_the_estimate_lie_within_the_bounds_and_repeat() -> None:
    curve, again = (best_of(TIED, (0.2, 0.95)) for _ in range(2))
    for k, value in enumerate(curve.value, start=1):
        ends = curve.interval(k)
        assert ends is not None
        assert 0.2 <= ends[0] <= value <= ends[1] <= 0.95
        assert again.interval(k) == ends
    assert best_of(TIED, None).interval(1) is None
    highest = best_of(TIED, (0.2, 0.9)).interval(6)
    assert highest is not None
    assert highest[0] < highest[1] == 0.9


def test_intervals_cover_where_bootstraps_do_not() -> None:
    """A part of `harness calibrate`; of the best of 16 in 16 percentile bootstraps cover 1 to 61%."""
    cases = [case for cell in tuning_cases(200)[1::3] for case in cell()]
    assert {case.setting.rpartition(" of ")[2] for case in cases} == {"16"}
    assert [case for case in cases if not case.holds] == []
    assert min(case.covered for case in cases if case.covered is not None) > 0.93


def test_equal_trials_of_two_searches_have_no_gap_and_nothing_is_sure() -> None:
    one, other = (best_of([0.7] * 8, (0.6, 0.8), stream) for stream in (0, 1))
    found = gap(one, other, 4, 4)
    assert (found.value, surely(found)) == (0.0, 0)
    assert found.low is not None
    assert found.low < 0 < (found.high or 0.0)


def test_a_search_whose_every_trial_is_better_is_surely_ahead_of_few_trials() -> None:
    good, bad = (
        best_of([v + 0.001 * i for i in range(32)], (0.5, 0.83), p) for p, v in enumerate((0.8, 0.5))
    )
    assert surely(gap(good, bad, 1, 1)) == 1
    assert surely(gap(bad, good, 1, 1)) == -1
    assert surely(gap(good, best_of([0.5] * 32, None), 1, 1)) == 0


FLAT, RISING = BestOf((0.7, 0.72, 0.73)), BestOf((0.6, 0.72, 0.8))


def test_by_trials_the_flat_search_is_ahead_until_the_other_one_overtakes_it() -> None:
    found = stretches(by_trials(FLAT, RISING), by_estimate)
    assert found == [Stretch(1, 1, 1), Stretch(2, 2, 0), Stretch(3, 3, -1)]


def test_by_cost_budgets_pay_for_whole_trials_of_each() -> None:
    """Trials of 2 and of 3: a budget of 4 pays for two of the first and for one of the second."""
    steps = by_cost(FLAT, RISING, 2.0, 3.0)
    assert [step.amount for step in steps] == [3.0, 4.0, 6.0]
    assert [step.gap.value for step in steps] == pytest.approx([0.7 - 0.6, 0.72 - 0.6, 0.73 - 0.72])
    assert by_cost(FLAT, RISING, 1.0, 9.0) == []


def test_neighbouring_steps_of_one_side_are_one_stretch() -> None:
    steps = [Step(k, Gap(v, v - 0.1, v + 0.1)) for k, v in enumerate([0.3, 0.2, 0.05, -0.2], start=1)]
    assert stretches(steps, surely) == [Stretch(1, 2, 1), Stretch(3, 3, 0), Stretch(4, 4, -1)]


def test_the_best_trial_is_not_counted_as_near_itself() -> None:
    found = near_best([0.80, 0.795, 0.79, 0.78, 0.5], 0.01)
    assert (found.value, found.n) == (0.5, 4)
    known = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert near_best([0.8], 0.01).reason == "1 trial, and it needs 2"


def test_shares_are_told_apart_by_an_exact_test() -> None:
    flat, steep = near_best([0.8] * 16, 0.01), near_best([0.8] + [0.5] * 15, 0.01)
    found = difference(flat, steep)
    assert (found.value, found.n) == (1.0, 15)
    assert found.p is not None
    assert found.p < 1e-6
    assert difference(steep, steep).p == difference(flat, flat).p == 1.0
    assert difference(flat, near_best([0.8], 0.01)).value is None


def test_importance_is_the_effect_size_of_kruskal_and_wallis() -> None:
    rng = random.Random(0)
    drawn = [rng.choice("abc") for _ in range(30)]
    scores = [ord(letter) + rng.gauss(0, 1) for letter in drawn]
    groups = [[s for d, s in zip(drawn, scores, strict=True) if d == letter] for letter in "abc"]
    statistic = stats.kruskal(*groups).statistic
    found = importance(drawn, scores)
    assert found.share == pytest.approx((statistic - 3 + 1) / (30 - 3))
    assert found.p is not None
    assert found.p < 0.01


def test_a_setting_that_matters_is_told_from_one_that_does_not() -> None:
    rng = random.Random(1)
    rates = [10 ** rng.uniform(-6, -4) for _ in range(24)]
    idle = [rng.random() for _ in rates]
    scores = [-abs(np.log10(rate) + 4.5) + 0.01 * rng.random() for rate in rates]
    shares = [importance(drawn, scores).share for drawn in (rates, idle)]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[0] > 0.6 > 0.2 > shares[1]


@pytest.mark.parametrize(
    ("drawn", "scores", "why"),
    [
        ([1, 2] * 4, [0.1] * 8, "8 trials, and it needs 10"),
        ([0.1] * 12, [0.1, 0.2] * 6, "one value was drawn"),
        (["a", "b"] * 6, [0.1] * 12, "all trials scored the same"),
        ([str(i) for i in range(12)], [0.1, 0.2] * 6, "no value was drawn twice"),
    ],
)
def test_importance_that_cannot_be_known_says_why(drawn: list[int], scores: list[float], why: str) -> None:
    found = importance(drawn, scores)
    assert (found.share, found.p, found.reason) == (None, None, why)
