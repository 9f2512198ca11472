"""Random effects over runs: a published example, known truth by simulation, and the ends of the range."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from harness.evidence.statistics.calibration_cases import Case, simulated
from harness.evidence.statistics.calibration_meta import meta_cases
from harness.evidence.statistics.meta import Effect, combine, moderated, pool
from harness.evidence.statistics.stability import spread_ratios, stability

BCG = (
    *((4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619)),
    *((33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892)),
    *((29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338)),
    (27, 16886, 29, 17825),
)
"""Tuberculosis and none, vaccinated and not, in 13 trials (Colditz et al. 1994)."""


def effects(*values: float, error: float = 0.02, freedom: float = math.inf) -> list[Effect]:
    return [Effect(value, error, freedom, f"unit {n}") for n, value in enumerate(values)]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return simulated(meta_cases(4_000))


def test_a_published_example() -> None:
    """Log risk ratios as metafor has them: Q 152.2330, tau^2 by Paule and Mandel 0.3181, I^2 92.12%."""
    ratios = []
    for number, (a, b, c, d) in enumerate(BCG):
        variance = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
        value = math.log(a / (a + b)) - math.log(c / (c + d))
        ratios.append(Effect(value, math.sqrt(variance), math.inf, str(number)))
    one = combine(ratios, "trials")
    assert one is not None
    assert one.tau**2 == pytest.approx(0.3181, abs=5e-5)
    assert one.estimate.value == pytest.approx(-0.7150, abs=5e-5)
    assert (one.estimate.n, one.estimate.freedom) == (13, 12)
    assert one.i2 == pytest.approx(1 - 12 / 152.2330, abs=1e-6)
    assert one.q_p is not None
    assert one.q_p < 1e-20
    assert math.fsum(one.weights) == pytest.approx(1)


def covered(cases: list[Case], interval: str) -> list[float]:
    shares = [case.covered for case in cases if case.interval == interval]
    return [share for share in shares if share is not None]


def test_the_interval_covers_known_truth(cases: list[Case]) -> None:
    """Exact without its guard; with it never below 93%, and what it adds is where runs hardly differ."""
    bare = covered(cases, "several runs, without the guard")
    assert len(bare) == 9
    assert all(0.93 <= share <= 0.975 for share in bare), bare
    for interval in ("several runs", "several runs: one more run"):
        shares = covered(cases, interval)
        assert len(shares) == 27
        assert min(shares) >= 0.93
    differing = [case for case in cases if "10 runs, tau^2 / error^2 = 4" in case.setting]
    assert all(0.93 <= case.covered <= 0.975 for case in differing if case.covered is not None), differing


def test_every_cell_of_the_grid_holds(cases: list[Case]) -> None:
    """At 4,000 simulations a share of 5% is known to within 1 point."""
    assert len(cases) == 75
    held = [replace(case, most_rejected=0.055 + 0.01) for case in cases]
    assert [case for case in held if not case.holds] == []


def test_errors_from_few_seeds_are_not_taken_as_exact() -> None:
    """Ten runs of 3 seeds without any true difference: exact errors would cover far less than 93%."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((4_000, 10))
    squares = rng.chisquare(2, values.shape) / 2
    t = 2.262157
    as_exact, moderate = (pool(values, v) for v in (squares, moderated(squares, np.full(10, 2.0))))
    assert (np.abs(as_exact.mean) <= t * as_exact.error).mean() < 0.91
    assert (np.abs(moderate.mean) <= t * moderate.error).mean() > 0.95


def test_the_test_of_heterogeneity_keeps_its_level() -> None:
    """Held against chi-squared it would reject in 14% at 5 runs of 3 seeds."""
    rng = np.random.default_rng(2)
    ps = []
    for _ in range(1_000):
        errors = np.sqrt(rng.chisquare(2, 5) / 2)
        runs = [
            Effect(float(v), float(e), 2.0, str(n))
            for n, (v, e) in enumerate(zip(rng.standard_normal(5), errors, strict=True))
        ]
        one = combine(runs, "runs")
        assert one is not None
        assert one.q_p is not None
        ps.append(one.q_p)
    assert 0.005 < np.mean(np.array(ps) < 0.05) < 0.055


def test_two_runs_have_one_degree_of_freedom_and_one_has_nothing() -> None:
    assert combine(effects(0.1), "runs") is None
    assert combine([], "runs") is None
    two = combine(effects(0.10, 0.14), "runs")
    assert two is not None
    assert two.estimate.freedom == 1
    assert two.predicted is None
    low, high = two.estimate.low, two.estimate.high
    assert low is not None
    assert high is not None
    # t at one degree of freedom times an error of at least 0.02 / sqrt(2).
    assert (high - low) / 2 == pytest.approx(12.7062 * 0.02, rel=1e-4)


def test_agreement_by_chance_earns_no_more_than_the_errors_allow() -> None:
    close = combine(effects(0.1, 0.1, 0.1001), "runs")
    assert close is not None
    assert close.estimate.error == pytest.approx(0.02 / math.sqrt(3))
    assert close.tau == 0
    assert close.i2 == 0


def test_runs_of_one_model_and_data_set_count_once() -> None:
    """Five repetitions of one do not outvote another model."""
    repeated = [Effect(0.2, 0.02, 2.0, "small") for _ in range(5)]
    one = combine([*repeated, Effect(0.0, 0.02, 2.0, "large")], "runs")
    assert one is not None
    assert one.estimate.n == 2
    assert one.estimate.value == pytest.approx(0.1, abs=0.005)
    assert math.fsum(one.weights[:5]) == pytest.approx(0.5, abs=0.03)
    assert combine(repeated, "runs") is None


def test_exact_ratios_differ_between_runs_alone() -> None:
    """Without errors it is Student's t over runs; the same everywhere has nothing to be judged by."""
    one = combine(effects(0.1, 0.2, 0.6, error=0.0), "runs")
    assert one is not None
    assert one.tau == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert one.estimate.error == pytest.approx(one.tau / math.sqrt(3))
    assert one.weights == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (one.q_p, one.i2) == (None, None)
    same = combine(effects(0.3, 0.3, error=0.0), "runs")
    assert same is not None
    assert (same.estimate.value, same.estimate.low, same.estimate.p) == (0.3, None, None)
    nothing = combine(effects(0.0, 0.0, error=0.0), "runs")
    assert nothing is not None
    assert nothing.estimate.identical


def test_the_ratio_s_interval_is_where_its_test_turns() -> None:
    """An end of the interval at 1 is a p of 5%."""
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 8))
    one = spread_ratios(a, b)
    turned = spread_ratios(a / one.low, b)
    assert float(turned.low) == pytest.approx(1)
    assert float(turned.p) == pytest.approx(0.05)


def test_stability_needs_five_models_and_data_sets() -> None:
    few = stability(effects(0.1, 0.2, 0.3, 0.4), effects(0.1, 0.1, 0.2, 0.1))
    assert few.ratio.value is None
    assert few.ratio.reason == "4 models and data sets, needs at least 5"
    assert few.more_stable is None


def test_no_runs_at_all_are_too_few_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none = stability([], [])
    assert none.ratio.reason == "0 models and data sets, needs at least 5"


def test_stability_says_which_arm_varies_less() -> None:
    steady = effects(0.100, 0.101, 0.102, 0.099, 0.101, 0.100, 0.098, error=0.001)
    varied = effects(0.1, 0.4, -0.3, 0.2, 0.0, -0.2, 0.5, error=0.001)
    assert stability(steady, varied).more_stable is True
    assert stability(varied, steady).more_stable is False
    one = stability(varied, varied)
    assert one.more_stable is None
    assert one.ratio.value == pytest.approx(1)
    assert one.tau_a == pytest.approx(np.std([e.value for e in varied], ddof=1), rel=0.01)


def test_a_spread_that_is_error_alone_says_nothing_of_stability() -> None:
    """The arm of larger error varies more in what is measured, not in what is true."""
    rng = np.random.default_rng(3)
    values = rng.standard_normal(40)
    noisy = effects(*(0.5 * rng.standard_normal(40)), error=0.5)
    exact = effects(*(0.1 * values), error=0.1)
    one = stability(exact, noisy)
    assert one.ratio.high is not None
    assert one.ratio.high < 1
    assert one.equal == (pytest.approx(0.2), 1.0)
    assert one.more_stable is None
