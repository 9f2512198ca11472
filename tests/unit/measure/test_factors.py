"""Money, CO2, utilisation and steps, by hand-computed values."""

from __future__ import annotations

import pytest

from harness.measure import device
from harness.measure import utilisation as module
from harness.measure.factors import Factors, co2_grams, money
from harness.measure.steps import step_times, warm_up_steps
from harness.measure.utilisation import Peak, device_peak, measured_rate, published_peak, utilisation

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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cpus_rate_is_measured_with_its_spread(dtype: str) -> None:
    rate = measured_rate(dtype, sizes=(32, 64), repeats=3, seconds=0.01)
    assert rate.highest >= rate.median >= rate.lowest > 1e5
    assert (rate.repeats, rate.source) == (3, f"matrix products of 32 and 64, {dtype}")


def test_each_repeat_keeps_its_best_over_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock by which a product of 32 takes 2 s and one of 64 takes 8 s: 32768 and 65536 FLOP/s.
    monkeypatch.setattr(module, "_product", lambda size, dtype: size)
    monkeypatch.setattr(module, "_seconds_of", lambda product: {32: 2.0, 64: 8.0}[product])
    rate = measured_rate("float32", sizes=(32, 64), repeats=2, seconds=9.0)
    assert rate.highest == rate.lowest == 2 * 64**3 / 8.0
    slow = measured_rate("float32", sizes=(32, 64), repeats=2, seconds=1.0)
    assert slow.highest == 2 * 32**3 / 2.0
    assert slow.source == "matrix products of 32, float32"


def test_a_data_sheets_peak_wins_and_what_was_measured_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = measured_rate("float32", sizes=(16,), repeats=1, seconds=0.001)
    monkeypatch.setattr(module, "measured_rate", lambda dtype: rate)
    monkeypatch.setattr(device, "name", lambda: "NVIDIA H100 80GB HBM3")
    peak = device_peak("bfloat16")
    assert (peak.flops_per_second, peak.measured) == (989.5e12, rate)
    monkeypatch.setattr(device, "name", lambda: "AMD Instinct MI300X")
    peak = device_peak("bfloat16")
    assert (peak.flops_per_second, peak.source) == (rate.highest, f"measured {rate.source}")


def test_a_dtype_that_the_device_refuses_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dtype: str) -> None:
        raise RuntimeError("not implemented for 'BFloat16'\nat line 3")

    monkeypatch.setattr(module, "measured_rate", refuse)
    peak = device_peak("bfloat16")
    assert peak.flops_per_second is None
    assert peak.reason == "products in bfloat16 cannot be measured here: not implemented for 'BFloat16'"


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
