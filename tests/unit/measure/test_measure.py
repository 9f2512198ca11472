"""Seconds, bytes, FLOPs and joules from scripted clocks and counters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.measure.energy import EnergyMeter
from harness.measure.flops import Bucket, count, total_flops
from harness.measure.memory import HostMemory, MemoryMeter, read_high_water_mark
from harness.measure.window import Window


class FakeClock:
    def __init__(self, *readings: float) -> None:
        self.readings = list(readings)
        self.synchronised = 0

    def now(self) -> float:
        return self.readings.pop(0)

    def synchronize(self) -> None:
        self.synchronised += 1


def test_nested_phases_are_exclusive() -> None:
    clock = FakeClock(0, 10, 13, 20)
    window = Window(clock=clock)
    with window.phase("train"), window.phase("evaluation"):
        pass
    assert window.seconds == {"train": 10 + 7, "evaluation": 3}
    assert clock.synchronised == 4


def test_headline_leaves_out_data_start_up_and_evaluation() -> None:
    window = Window(clock=FakeClock())
    window.seconds = {"model_load": 1, "reference": 2, "train": 4, "save": 8, "data": 16, "evaluation": 32}
    assert window.headline() == 15


def test_a_phase_that_fails_is_closed() -> None:
    window = Window(clock=FakeClock(0, 5, 9, 10))
    with pytest.raises(ValueError, match="boom"), window.phase("train"):
        raise ValueError("boom")
    with window.phase("save"):
        pass
    assert window.seconds == {"train": 5, "save": 1}


def test_high_water_mark_is_read_in_bytes() -> None:
    assert read_high_water_mark("VmPeak: 9 kB\nVmHWM:\t  2048 kB\n") == 2048 * 1024
    assert read_high_water_mark("VmRSS: 1 kB\n") is None


def test_growth_is_the_peak_above_imports(tmp_path: Path) -> None:
    (tmp_path / "clear_refs").write_text("")
    (tmp_path / "status").write_text("VmHWM: 1000 kB\n")
    meter = MemoryMeter(device="cpu", host=HostMemory(tmp_path))
    meter.start()
    assert (tmp_path / "clear_refs").read_text() == "5"
    (tmp_path / "status").write_text("VmHWM: 1500 kB\n")
    meter.freeze()
    (tmp_path / "status").write_text("VmHWM: 9999 kB\n")
    found = {m.quantity: m for m in meter.measurements()}
    assert found["host_growth_bytes"].value == 500 * 1024
    assert found["peak_memory_bytes"].value == 1500 * 1024
    assert found["peak_allocated_bytes"].value is None
    assert found["peak_allocated_bytes"].reason == "no CUDA device"


def test_memory_that_cannot_be_reset_has_no_growth(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmHWM: 1000 kB\n")
    (tmp_path / "clear_refs").mkdir()
    meter = MemoryMeter(device="cpu", host=HostMemory(tmp_path))
    meter.start()
    growth = next(m for m in meter.measurements() if m.quantity == "host_growth_bytes")
    assert growth.value is None
    assert "cannot be reset" in str(growth.reason)


def test_real_peak_sees_an_allocation_after_start() -> None:
    meter = MemoryMeter(device="cpu")
    meter.start()
    block = bytearray(64 << 20)
    growth = next(m for m in meter.measurements() if m.quantity == "host_growth_bytes")
    assert len(block) == 64 << 20
    assert growth.value is None or growth.value > 32 << 20


def test_energy_is_the_counters_difference_and_stops_once() -> None:
    readings = iter([100.0, 250.0, 999.0])
    meter = EnergyMeter(device="cuda", counter=lambda: next(readings), clock=FakeClock())
    meter.start()
    meter.stop()
    meter.stop()
    assert meter.measurements()[0].value == 150.0


def test_energy_is_absent_with_a_reason_on_a_cpu() -> None:
    meter = EnergyMeter(device="cpu")
    meter.start()
    meter.stop()
    assert (meter.measurements()[0].value, meter.measurements()[0].reason) == (None, "no CUDA device")


def test_in_place_addmm_is_counted() -> None:
    total, a, b = torch.zeros(3, 5), torch.ones(3, 4), torch.ones(4, 5)
    assert count(lambda: total.addmm_(a, b)).total == 2 * 3 * 4 * 5


def test_cpu_attention_counts_what_eager_counts_but_for_flashs_recompute() -> None:
    shape = (1, 2, 16, 8)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    one = 2 * 1 * 2 * 16 * 16 * 8
    fused = count(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward())
    eager = count(lambda: ((q @ k.transpose(-1, -2)).softmax(-1) @ v).sum().backward())
    assert fused.total == (2 + 5) * one
    assert eager.total == (2 + 4) * one
    assert fused.unknown_ops == eager.unknown_ops == ()


def test_a_custom_kernel_of_unknown_cost_is_listed() -> None:
    @torch.library.custom_op("orpo_harness_test::mystery", mutates_args=())
    def mystery(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    assert count(lambda: mystery(torch.ones(2))).unknown_ops == ("orpo_harness_test.mystery",)


def matmul(bucket: Bucket) -> None:
    """Costs 2 * (b*t*6 + 7*scored + b*t*t*3) FLOPs."""
    tokens = bucket.batch * bucket.length
    torch.ones(tokens, 2) @ torch.ones(2, 3)
    torch.ones(bucket.scored, 7) @ torch.ones(7, 1)
    torch.ones(tokens, bucket.length) @ torch.ones(bucket.length, 3)


def test_fitted_total_equals_the_sum_of_every_bucket() -> None:
    buckets = {Bucket(2, t, 3 + t): t for t in range(10, 30)}
    expected = sum(count(lambda b=b: matmul(b)).total * n for b, n in buckets.items())
    total = total_flops(buckets, matmul)
    assert (total.total, total.how) == (expected, "fit")


def test_a_cost_that_is_no_polynomial_is_counted_bucket_by_bucket() -> None:
    def odd(bucket: Bucket) -> None:
        size = bucket.length if bucket.length < 20 else 3 * bucket.length**3
        torch.ones(size, 2) @ torch.ones(2, 1)

    buckets = {Bucket(2, t, 4): 1 for t in range(15, 30)}
    total = total_flops(buckets, odd)
    assert total.how == "each"
    assert total.total == sum(count(lambda b=b: odd(b)).total for b in buckets)
