"""Money, CO2, utilisation and steps, by hand-computed values."""

from __future__ import annotations

import pytest

from harness.measure.factors import Factors, co2_grams, money
from harness.measure.steps import step_times, warm_up_steps
from harness.measure.utilisation import Peak, measured_peak, published_peak, utilisation

KWH = 3.6e6


def test_co2_is_energy_times_the_users_factor() -> None:
    assert co2_grams(2 * KWH, None, Factors(grams_co2_per_kwh=400)) == (800.0, None)
    assert co2_grams(2 * KWH, None, Factors(grams_co2_per_kwh=400, pue=1.5)) == (1200.0, None)


def test_nothing_is_assumed() -> None:
    assert co2_grams(KWH, None, Factors()) == (None, "factors.grams_co2_per_kwh is not given")
    assert co2_grams(None, "no CUDA device", Factors(grams_co2_per_kwh=1)) == (
        None,
        "energy: no CUDA device",
    )
    assert money(1.0, 1.0, None, Factors())[0] is None
    assert money(None, None, None, Factors(price_per_device_hour=2.0)) == (None, "time: not measured")


def test_money_is_of_hours_and_of_energy() -> None:
    assert money(7200, None, "x", Factors(price_per_device_hour=3.0)) == (6.0, None)
    both = Factors(price_per_device_hour=3.0, price_per_kwh=0.5, pue=2.0)
    assert money(7200, KWH, None, both) == (7.0, None)
    assert money(7200, None, "no counter", both) == (None, "energy: no counter")


def test_utilisation_is_a_share_of_the_peak() -> None:
    assert utilisation(4e12, 6e12, 2.0, Peak(1e13, "given")) == (0.2, pytest.approx(0.3))


@pytest.mark.parametrize(
    ("name", "dtype", "tflops"),
    [
        ("NVIDIA H200", "bfloat16", 989.5),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5),
        ("NVIDIA A10G", "bfloat16", 70.0),
        ("NVIDIA L40S", "float32", 91.6),
        ("Tesla V100-SXM2-32GB", "float16", 125.0),
    ],
)
def test_published_peaks(name: str, dtype: str, tflops: float) -> None:
    peak = published_peak(name, dtype)
    assert peak is not None
    assert peak.flops_per_second == tflops * 1e12


def test_what_has_no_published_peak_has_none() -> None:
    assert published_peak("AMD EPYC", "float32") is None
    assert published_peak("Tesla V100", "bfloat16") is None


def test_a_cpus_peak_is_measured() -> None:
    peak = measured_peak(size=64, seconds=0.01)
    assert peak.flops_per_second > 1e6
    assert "measured GEMM 64" in peak.source


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        ([5.0, 1, 1, 1, 1, 1, 1, 1, 1, 1], 1),
        ([5.0, 3.0, 1, 1, 1, 1, 1, 1, 1, 1], 2),
        ([1.0] * 10, 0),
        ([1.2, *[1.0] * 9], 0),
        ([9.0, 9, 9, 9, 1, 1, 1, 1, 1, 1], 2),
        ([1.0, 5.0, *[1.0] * 8], 0),
        ([9.0, 1.0], 0),
    ],
)
def test_steps_that_warm_up(seconds: list[float], count: int) -> None:
    assert warm_up_steps(seconds) == count


def test_the_pace_leaves_warm_up_out_and_names_the_slowest_step() -> None:
    found = step_times([5.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert found is not None
    assert (found.n, found.warm_up, found.median, found.slowest) == (10, 1, 1.0, 3)
    assert step_times([]) is None
