"""Intervals where scores lie at their bounds, few items decide, items share a source, or some are missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.intervals import Ends, one_value_dominates, over_items
from harness.evidence.statistics.linearised import linearised
from harness.evidence.statistics.margins import against_margin
from harness.evidence.statistics.paired import items_estimate, paired_both, paired_items, paired_seeds
from harness.evidence.statistics.verdict import Outcome, verdict

SIMULATIONS = 2_000


def _record(wins: int, ties: int, losses: int) -> dict[str, float]:
    values = [0.5] * wins + [0.0] * ties + [-0.5] * losses
    return {f"i{n:04}": value for n, value in enumerate(values)}


@pytest.mark.parametrize("n", [24, 25, 100, 805])
def test_a_perfect_record_is_better(n: int) -> None:
    one = items_estimate(_record(n, 0, 0))
    assert verdict(one).outcome == Outcome.BETTER
    assert one.value == 0.5
    assert one.low is not None
    assert one.high == 0.5
    # The rule of three: with none of n lost, up to about 3 in n may be lost.
    assert 2.5 / n < 0.5 - one.low < 4 / n


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_perfect_record_at_every_seed_is_better(seeds: int) -> None:
    won = {s: dict.fromkeys(_record(400, 0, 0), 1.0) for s in range(seeds)}
    half = {s: dict.fromkeys(_record(400, 0, 0), 0.5) for s in range(seeds)}
    for one in (
        paired_seeds(won, half),
        *([paired_both(won, half)] if seeds > 2 else []),
    ):
        assert verdict(one).outcome == Outcome.BETTER
        assert one.high == 0.5


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (6, 0), (9, 1), (12, 3), (30, 12)])
def test_few_disagreements_are_judged_nearly_as_by_the_exact_test(wins: int, losses: int) -> None:
    one = items_estimate(_record(wins, 200 - wins - losses, losses))
    exact = stats.binomtest(wins, wins + losses, 0.5).pvalue
    assert one.p == pytest.approx(exact, abs=0.02)
    assert one.low is not None


def test_one_disagreement_of_805_is_within_the_margin() -> None:
    one = items_estimate(_record(0, 804, 1))
    tests = against_margin(one, 0.05)
    assert tests.not_worse is not None
    assert tests.not_worse < 1e-6
    assert tests.same is not None
    assert tests.same < 1e-6


@pytest.mark.parametrize("n", [20, 100, 400])
@pytest.mark.parametrize("rate", [0.55, 0.9, 0.96, 0.985])
@pytest.mark.parametrize("ties", [0.0, 0.5])
def test_win_rates_are_covered_at_their_bounds(n: int, rate: float, ties: float) -> None:
    """Rates are drawn close to the stated one, since coverage of counts jumps from rate to rate."""
    rng = np.random.default_rng([n, round(1000 * rate), round(10 * ties)])
    rates = rate + rng.uniform(-0.012, 0.012, SIMULATIONS)
    drawn = rng.random((SIMULATIONS, n))
    win, loss = (1 - ties) * rates[:, None], (1 - ties) * (1 - rates[:, None])
    values = np.where(drawn < win, 0.5, np.where(drawn < win + loss, -0.5, 0.0))
    intervals = over_items(values, Ends(-0.5, 0.5, one_value_dominates(values)))
    truth = (1 - ties) * (rates - 0.5)
    covered = ((intervals.low <= truth) & (truth <= intervals.high)).mean()
    assert covered >= 0.93
    # Where one or two items decide no interval can be exact; elsewhere it is not too wide either.
    assert covered <= (0.975 if n * (1 - ties) * (1 - rate) >= 8 else 1)


def test_two_turns_of_a_question_are_one_observation() -> None:
    """An arm against itself, at an ICC of 0.7: 80 questions of two turns, 100 clusters of five."""
    for groups, size in ((80, 2), (100, 5)):
        rng = np.random.default_rng(groups)
        names = {f"{g}-{i}": str(g) for g in range(groups) for i in range(size)}
        rejected = {True: 0, False: 0}
        for _ in range(300):
            shared = np.repeat(np.sqrt(0.7) * rng.standard_normal(groups), size)
            noise = np.sqrt(0.3) * rng.standard_normal(groups * size)
            values = dict(zip(names, (shared + noise).tolist(), strict=True))
            for clustered in rejected:
                one = items_estimate(values, clusters=names if clustered else {})
                rejected[clustered] += verdict(one).outcome != Outcome.NOT_SEPARABLE
        assert rejected[True] / 300 < 0.09
        assert rejected[False] / 300 > 0.1
    assert one.clusters is None
    assert items_estimate(values, clusters=names).clusters == 100


def test_missing_items_leave_the_others_in() -> None:
    """10 seeds with a fifth of the items unreadable: nearly no item is there at every seed."""
    rng = np.random.default_rng(3)
    table = {
        s: {f"i{i}": float(rng.normal(0.3)) for i in range(300) if rng.random() > 0.2} for s in range(10)
    }
    nothing = {s: dict.fromkeys(row, 0.0) for s, row in table.items()}
    one = paired_both(table, nothing)
    assert one.items == 300
    assert one.absent_values == 3000 - sum(len(row) for row in table.values())
    assert one.low is not None
    assert one.high is not None
    assert one.low < 0.3 < one.high
    assert one.high - one.low < 0.15


def test_without_missing_items_or_clusters_the_table_is_what_it_was() -> None:
    values = np.random.default_rng(5).normal(size=(3, 12))
    whole = linearised([dict(zip("abcdefghijkl", row.tolist(), strict=True)) for row in values], {})
    assert whole.table == pytest.approx(values)
    assert not whole.clustered


def test_a_long_tail_has_no_interval_and_says_why() -> None:
    one = items_estimate({f"i{n}": float(np.exp(n / 3)) for n in range(20)})
    assert one.low is None
    assert one.p is None
    assert "skewness" in str(one.reason)
    assert verdict(one).outcome == Outcome.NOT_SEPARABLE
    assert items_estimate({f"i{n}": float(n) for n in range(20)}).low is not None


def test_a_claim_on_a_rate_and_the_difference_from_one_half_agree() -> None:
    wins = {f"i{n}": 1.0 if n < 15 else 0.5 if n < 18 else 0.0 for n in range(24)}
    rate = items_estimate(wins, about=0.5)
    difference = paired_items(wins, dict.fromkeys(wins, 0.5))
    assert isinstance(rate, Estimate)
    assert rate.low == pytest.approx((difference.low or 0) + 0.5)
    assert rate.high == pytest.approx((difference.high or 0) + 0.5)


def test_a_share_of_none_has_an_interval_and_an_unknown_scale_ends_where_its_values_do() -> None:
    none = items_estimate(dict.fromkeys(_record(16, 0, 0), 0.0), about=0.5)
    assert none.value == none.low == 0
    assert none.high is not None
    assert 0.1 < none.high < 0.25
    assert not none.identical
    # 10 of 16 answers were cut off at 64 tokens: the interval lies among the lengths that there are.
    lengths = {f"i{n}": 64.0 if n < 10 else 20.0 + n for n in range(16)}
    one = items_estimate(lengths, about=None)
    assert one.low is not None
    assert one.high is not None
    assert 40 < one.low < (one.value or 0) < one.high < 64
    assert items_estimate(dict.fromkeys(lengths, 64.0), about=None).reason == "no spread to judge it by"
