"""Margins, families, two-level intervals, power; and whether all of it is calibrated."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from harness.evidence.statistics import calibration
from harness.evidence.statistics.estimate import (
    BOTH_TARGET,
    ITEMS_TARGET,
    Estimate,
    log_ratio,
    mean_interval,
)
from harness.evidence.statistics.intervals import t_intervals, two_level
from harness.evidence.statistics.margins import against_margin
from harness.evidence.statistics.paired import paired_both, paired_items


def test_bulk_intervals_are_those_of_one() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, (4, 5))
    bulk = t_intervals(values)
    for row, low, high, p in zip(values, bulk.low, bulk.high, bulk.p, strict=True):
        one = mean_interval(list(row), "t")
        assert (one.low, one.high, one.p) == pytest.approx((low, high, p))
        known = stats.ttest_1samp(row, 0)
        assert one.p == pytest.approx(known.pvalue)
        assert one.error == pytest.approx(row.std(ddof=1) / math.sqrt(5))


def test_two_levels_at_their_ends() -> None:
    """Seeds alone: a t interval over seeds. Items alone: one over items."""
    rng = np.random.default_rng(1)
    seeds = rng.normal(size=(4, 1)) + np.zeros((4, 30)) + 1e-9 * rng.normal(size=(4, 30))
    found, over_seeds = two_level(seeds), t_intervals(seeds.mean(axis=1))
    assert (found.low, found.high) == pytest.approx((over_seeds.low, over_seeds.high))
    items = rng.normal(size=(1, 30)) + np.zeros((4, 30)) + 1e-9 * rng.normal(size=(4, 30))
    found, over_items = two_level(items), t_intervals(items.mean(axis=0))
    assert (found.low, found.high) == pytest.approx((over_items.low, over_items.high))


def test_an_interval_about_items_and_seeds_or_why_there_is_none() -> None:
    rng = random.Random(0)
    table = {s: {f"i{i}": rng.gauss(0.5, 1) for i in range(20)} for s in range(3)}
    nothing = {s: dict.fromkeys(table[0], 0.0) for s in range(3)}
    found = paired_both(table, nothing)
    assert found.target == BOTH_TARGET
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high
    assert paired_both(table, table).identical
    two = {s: table[s] for s in (0, 1)}
    assert "fewer than 3 seeds" in str(paired_both(two, nothing).reason)
    few = {s: {k: v for k, v in row.items() if k in ("i1", "i2")} for s, row in table.items()}
    assert "fewer than 10 items" in str(paired_both(few, nothing).reason)
    infinite = {s: {**row, "i0": math.inf} for s, row in table.items()}
    assert paired_both(infinite, nothing).reason == "3 of 60 values are not finite"


def test_not_worse_is_the_95_percent_interval_above_the_margin() -> None:
    values = [0.01, -0.02, 0.015, 0.0]
    one = mean_interval(values, "t")
    assert one.low is not None
    inside, outside = (against_margin(one, margin) for margin in (-one.low * 1.01, -one.low * 0.99))
    assert inside.not_worse is not None
    assert outside.not_worse is not None
    assert inside.not_worse < 0.025 < outside.not_worse
    turned = against_margin(one, 0.05, higher_is_better=False)
    mirrored = against_margin(mean_interval([-v for v in values], "t"), 0.05)
    assert turned.not_worse == pytest.approx(mirrored.not_worse)
    known = stats.ttest_1samp(values, -0.05, alternative="greater").pvalue
    assert against_margin(one, 0.05).not_worse == pytest.approx(known)


def test_the_same_is_the_90_percent_interval_within_the_margin() -> None:
    one = mean_interval([0.01, -0.02, 0.015, 0.0], "t")
    tests = against_margin(one, 0.05)
    assert tests.low is not None
    assert tests.high is not None
    widest = max(-tests.low, tests.high)
    for margin, same in ((widest * 1.01, True), (widest * 0.99, False)):
        p = against_margin(one, margin).same
        assert p is not None
        assert (p < 0.05) is same
    identical = Estimate(0.0, 0.0, 0.0, 3, 1.0, "t", identical=True)
    assert against_margin(identical, 0.01).same == 0
    assert against_margin(paired_items({"a": 1.0}, {"a": 0.0}), 0.1).same is None


def test_ratios_are_tested_on_logs() -> None:
    one = log_ratio([1.0, 1.1, 1.2], [2.0, 2.1, 2.6])
    logs = [math.log(a / b) for a, b in zip([1.0, 1.1, 1.2], [2.0, 2.1, 2.6], strict=True)]
    assert one.p == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    assert one.error == pytest.approx(np.std(logs, ddof=1) / math.sqrt(3))


@pytest.mark.slow
def test_calibration_repeats_bit_for_bit_and_touches_nothing() -> None:
    np.random.seed(5)
    random.seed(5)
    before = (np.random.get_state()[1].tolist(), random.getstate())
    first, again = (calibration.calibrate(100, processes=n) for n in (1, 2))
    assert first == again
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before
    np.random.seed(6)
    assert calibration.calibrate(100, processes=1) == first


def test_the_grid_names_every_interval_that_a_report_prints() -> None:
    cases = calibration.calibrate(100, processes=1)
    targets = {case.interval.partition(":")[0] for case in cases}
    assert {BOTH_TARGET, ITEMS_TARGET, "registered family"} <= targets
    assert any(case.wide for case in cases)
    assert any(case.power is not None for case in cases)
    assert len({(case.interval, case.setting) for case in cases}) == len(cases)


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(1_200)
def test_every_interval_is_calibrated() -> None:
    """20,000 simulated comparisons in each cell of the grid."""
    assert [case for case in calibration.calibrate() if not case.holds] == []
