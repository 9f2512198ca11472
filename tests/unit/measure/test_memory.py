"""Bytes from scripted readers of the host, of CUDA's allocator and of the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.measure.memory import HostMemory, MemoryMeter, allocator_settings, read_high_water_mark
from harness.records import Measurement

KIB = 1024


class FakeHost(HostMemory):
    """A kernel whose files are in a temporary folder."""

    def __init__(self, folder: Path, kib: int) -> None:
        super().__init__(folder)
        self._folder = folder
        (folder / "clear_refs").write_text("")
        self.at(kib)

    def at(self, kib: int) -> None:
        (self._folder / "status").write_text(f"Name: x\nVmHWM:\t{kib} kB\n")


class FakeCuda:
    """An allocator whose figures a test writes."""

    def __init__(self) -> None:
        self.allocated, self.reserved, self.retried, self.failed, self.resets = 0, 0, 0, 0, 0

    def reset_peaks(self) -> None:
        self.resets += 1

    def peak_allocated(self) -> int:
        return self.allocated

    def peak_reserved(self) -> int:
        return self.reserved

    def retries(self) -> int:
        return self.retried

    def ooms(self) -> int:
        return self.failed


class FakeDriver:
    """A driver that knows the GPU but, in a container, not this process."""

    def process_bytes(self) -> int | None:
        return None

    def device_bytes(self) -> int | None:
        return 900


def by_name(meter: MemoryMeter) -> dict[str, Measurement]:
    return {m.quantity: m for m in meter.measurements()}


def test_high_water_mark_is_read_in_bytes() -> None:
    assert read_high_water_mark("VmPeak: 9 kB\nVmHWM:\t  2048 kB\n") == 2048 * KIB
    assert read_high_water_mark("VmRSS: 1 kB\n") is None


def test_growth_is_the_peak_above_imports(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, 1000)
    meter = MemoryMeter(device="cpu", host=host)
    meter.start()
    assert (tmp_path / "clear_refs").read_text() == "5"
    host.at(1500)
    meter.freeze()
    host.at(9999)
    found = by_name(meter)
    assert found["host_growth_bytes"].value == 500 * KIB
    assert found["peak_memory_bytes"].value == found["host_peak_rss_bytes"].value == 1500 * KIB
    assert found["peak_memory_bytes"].source == "host memory: VmHWM, highest in no phase of its own"


@pytest.mark.parametrize("quantity", ["peak_allocated_bytes", "peak_reserved_bytes"])
def test_what_a_cpu_has_not_is_absent_with_a_reason(tmp_path: Path, quantity: str) -> None:
    meter = MemoryMeter(device="cpu", host=FakeHost(tmp_path, 1))
    meter.start()
    assert (by_name(meter)[quantity].value, by_name(meter)[quantity].reason) == (None, "no CUDA device")


def test_memory_that_cannot_be_reset_has_no_growth(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, 1000)
    (tmp_path / "clear_refs").unlink()
    (tmp_path / "clear_refs").mkdir()
    meter = MemoryMeter(device="cpu", host=host)
    meter.start()
    growth = by_name(meter)["host_growth_bytes"]
    assert growth.value is None
    assert "cannot be reset" in str(growth.reason)


def test_a_kernel_that_tells_nothing_gives_reasons(tmp_path: Path) -> None:
    (tmp_path / "clear_refs").write_text("")
    meter = MemoryMeter(device="cpu", host=HostMemory(tmp_path))
    meter.start()
    found = by_name(meter)
    assert all(m.value is None for m in found.values())
    assert found["host_growth_bytes"].reason == "the kernel does not report VmHWM"


def test_cuda_figures_are_this_stages_own(tmp_path: Path) -> None:
    cuda = FakeCuda()
    cuda.retried, cuda.failed = 5, 1
    meter = MemoryMeter(device="cuda", host=FakeHost(tmp_path, 10), cuda=cuda, driver=FakeDriver())
    meter.start()
    cuda.allocated, cuda.reserved, cuda.retried = 300, 400, 7
    found = by_name(meter)
    values = {name: found[name].value for name in ("peak_memory_bytes", "peak_allocated_bytes")}
    assert values == {"peak_memory_bytes": 300, "peak_allocated_bytes": 300}
    assert found["peak_reserved_bytes"].value == 400
    assert (found["alloc_retries"].value, found["ooms"].value) == (2, 0)
    assert found["alloc_retries"].unit == "1"
    assert cuda.resets == 1
    assert found["host_peak_rss_bytes"].value == 10 * KIB


def test_the_drivers_figures_are_no_peaks_and_may_be_absent(tmp_path: Path) -> None:
    meter = MemoryMeter(device="cuda", host=FakeHost(tmp_path, 1), cuda=FakeCuda(), driver=FakeDriver())
    found = by_name(meter)
    assert found["nvml_device_bytes"].value == 900
    assert "not a peak" in found["nvml_device_bytes"].source
    assert found["nvml_process_bytes"].reason == "the driver does not tell"


def test_allocator_settings_stand_beside_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert allocator_settings() == "defaults"
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    meter = MemoryMeter(device="cuda", host=FakeHost(tmp_path, 1), cuda=FakeCuda(), driver=FakeDriver())
    assert by_name(meter)["peak_reserved_bytes"].source.endswith("expandable_segments:True")


def test_real_peak_sees_an_allocation_after_start() -> None:
    meter = MemoryMeter(device="cpu")
    meter.start()
    block = bytearray(64 << 20)
    growth = by_name(meter)["host_growth_bytes"]
    assert len(block) == 64 << 20
    assert growth.value is None or growth.value > 32 << 20
