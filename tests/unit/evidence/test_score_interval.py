"""Intervals of a chance: Wilson's where they should be, and a coverage that is what they say."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from harness.evidence.statistics.calibration_cases import simulated
from harness.evidence.statistics.calibration_length import length_cases
from harness.evidence.statistics.calibration_ranking import ranking_cases
from harness.evidence.statistics.score_interval import Outcomes, chance_interval


def wilson(wins: int, items: int) -> tuple[float, float]:
    """95% interval of a proportion (Wilson 1927)."""
    z = 1.959963984540054
    centre = (wins + z * z / 2) / (items + z * z)
    half = z / (items + z * z) * (wins * (items - wins) / items + z * z / 4) ** 0.5
    return centre - half, centre + half


def interval(won: list[float], starts: list[int] | None = None) -> tuple[float, float, float]:
    where = None if starts is None else np.array(starts)
    return chance_interval(Outcomes(np.array([won]), np.ones((1, len(won), 1)), where))


@pytest.mark.parametrize(("wins", "items"), [(24, 24), (19, 20), (400, 805), (0, 25)])
def test_hard_outcomes_alone_have_wilsons_interval(wins: int, items: int) -> None:
    value, low, high = interval([1.0] * wins + [0.0] * (items - wins))
    assert value == pytest.approx(wins / items, abs=1e-6)
    assert (low, high) == pytest.approx(wilson(wins, items), abs=1e-6)


def test_soft_outcomes_have_the_interval_of_their_own_spread() -> None:
    won = [0.55] * 483 + [0.05] * 322
    value, low, high = interval(won)
    half = 1.96 * float(np.std(won)) / len(won) ** 0.5
    assert value == pytest.approx(0.35)
    assert (low, high) == pytest.approx((0.35 - half, 0.35 + half), abs=1e-3)


def test_a_few_soft_outcomes_near_the_bound_do_not_hide_losses_that_were_not_seen() -> None:
    value, low, _ = interval([0.97] * 20)
    assert value == pytest.approx(0.97)
    assert low < 0.9


def test_clusters_that_go_together_count_once() -> None:
    once = interval([1.0] * 30 + [0.0] * 10)
    four = interval([1.0] * 120 + [0.0] * 40, starts=list(range(0, 160, 4)))
    assert four == pytest.approx(once, abs=1e-3)


def test_coverage_is_what_the_intervals_say() -> None:
    """A corner of the grid of `harness calibrate`, every kind of cell at 20 and 50 items."""
    cases = simulated([*islice(length_cases(1_000), 50), *islice(ranking_cases(1_000), 30)])
    assert len(cases) == 80
    assert len({case.interval for case in cases}) == 8
    wrong = [case for case in cases if not 0.92 <= (case.covered or 0.0) <= 0.995]
    assert not wrong


def test_a_case_of_many_losses_is_held_to_the_narrow_bounds() -> None:
    by_setting = {case.setting: case for case in simulated(length_cases(200))}
    assert by_setting["20 items, rate 0.985"].wide
    assert not by_setting["800 items, rate 0.9"].wide
