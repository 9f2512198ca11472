"""What paired repeats say, and what a goal makes of it."""

from __future__ import annotations

import math

import pytest

from perf.paired import Goal, Interval, in_turn, mean_of, ratio, separable


def test_the_ratio_is_the_geometric_mean_with_a_t_interval_on_logs() -> None:
    """By hand: logs ln 2 and ln 8, mean ln 4, standard error ln 2, t(0.975, 1) = 12.706."""
    one = ratio([2.0, 8.0], [1.0, 1.0])
    assert one.mean == pytest.approx(4)
    assert one.high == pytest.approx(4 * math.exp(12.7062 * math.log(2)), rel=1e-4)
    assert one.low == pytest.approx(4 * math.exp(-12.7062 * math.log(2)), rel=1e-4)


def test_a_mean_difference_is_separable_where_its_interval_holds_no_zero() -> None:
    """By hand: differences 1 and 3, mean 2, standard error 1."""
    one = mean_of([1.0, 3.0])
    assert (one.mean, one.high) == (2.0, pytest.approx(2 + 12.7062, rel=1e-4))
    assert not separable(one)
    assert separable(mean_of([1.0, 1.0, 1.1]))
    assert not separable(mean_of([1.0]))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.3, 0.5, "meets the goal"),
        (0.4, 0.6, "not decided"),
        (0.51, 0.6, "misses the goal"),
        (0.5, 0.5, "meets the goal"),
        (None, None, "one repeat, no interval"),
    ],
)
def test_at_most_is_missed_only_by_the_whole_interval(
    low: float | None, high: float | None, verdict: str
) -> None:
    goal, one = Goal(0.5, "seconds"), Interval(0.5, low, high)
    assert goal.verdict(one) == verdict
    assert goal.missed(one) == (verdict == "misses the goal")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.5, 1.9, "meets the goal"),
        (1.4, 1.6, "not decided"),
        (1.2, 1.49, "misses the goal"),
        (1.5, 1.5, "meets the goal"),
        (None, None, "one repeat, no interval"),
    ],
)
def test_at_least_is_missed_only_by_the_whole_interval(
    low: float | None, high: float | None, verdict: str
) -> None:
    assert Goal(1.5, "tokens a second", at_least=True).verdict(Interval(1.5, low, high)) == verdict


def test_sides_take_turns_in_going_first() -> None:
    said: list[str] = []

    def side(name: str) -> str:
        said.append(name)
        return name

    for number in range(2):
        assert in_turn(number, lambda: side("ours"), lambda: side("theirs")) == ("ours", "theirs")
    assert said == ["ours", "theirs", "theirs", "ours"]
