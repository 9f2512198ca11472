"""The exponent of a cost, from costs that are known."""

from __future__ import annotations

import random

import pytest

from perf import goals
from perf.growth import STEPS, fit
from perf.paired import Interval

NUMBERS = [float(n) for n in STEPS for _ in range(2)]


def noisy(exponent: float, noise: float) -> list[float]:
    chance = random.Random(1)
    return [(20 + 5 * n**exponent) * (1 + chance.uniform(-noise, noise)) for n in NUMBERS]


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.3])
def test_a_known_exponent_is_found_with_its_fixed_part(exponent: float) -> None:
    found = fit(NUMBERS, noisy(exponent, 0.0))
    assert found.exponent == pytest.approx(exponent, abs=0.01)
    assert (found.fixed, found.each) == (pytest.approx(20, rel=0.02), pytest.approx(5, rel=0.05))


@pytest.mark.parametrize(("exponent", "missed"), [(1.0, False), (1.6, True)])
def test_noise_widens_the_interval_around_the_truth(exponent: float, missed: bool) -> None:
    found = fit(NUMBERS, noisy(exponent, 0.03))
    assert found.low <= exponent <= found.high
    assert found.high - found.low > 0.05
    assert goals.EXPONENT.missed(Interval(found.exponent, found.low, found.high)) == missed
