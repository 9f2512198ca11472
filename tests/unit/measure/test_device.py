"""The door to the accelerator, by a torch that a test makes up: no machine here has one."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch as real_torch

from harness.measure import device

GIB = 1 << 30


class FakeTorch(SimpleNamespace):
    """The part of torch that is asked, for one kind of accelerator or none."""

    def __init__(self, kind: str | None, *, hip: str | None = None, bfloat16: bool = True) -> None:
        properties = SimpleNamespace(
            name=f"a {kind}", total_memory=80 * GIB, uuid="12-34", has_bfloat16_conversions=bfloat16
        )
        self.calls: list[str] = []
        self.free = 60 * GIB
        module = SimpleNamespace(
            get_device_properties=lambda index=0: properties,
            mem_get_info=lambda: (self.free, 80 * GIB),
            empty_cache=lambda: self.calls.append("empty_cache"),
            is_bf16_supported=lambda including_emulation=True: including_emulation or bfloat16,
            recommended_max_memory=lambda: 16 * GIB,
            driver_allocated_memory=lambda: 5 * GIB,
        )
        self.cuda = self.xpu = self.mps = module
        self.version = SimpleNamespace(hip=hip)
        self.statistics = {"allocated_bytes.all.peak": 7, "reserved_bytes.all.peak": 9, "num_ooms": 1}
        self.accelerator = SimpleNamespace(
            is_available=lambda: kind is not None,
            current_accelerator=lambda: None if kind is None else SimpleNamespace(type=kind),
            device_count=lambda: 2,
            synchronize=lambda: self.calls.append("synchronize"),
            memory_stats=lambda: self.statistics,
            reset_peak_memory_stats=lambda: self.calls.append("reset"),
        )
        self.OutOfMemoryError = real_torch.OutOfMemoryError

    def get_device_module(self, kind: str) -> Any:
        return getattr(self, kind)

    def device(self, kind: str) -> str:
        return kind

    def empty(self, size: int, *, device: str) -> None:
        self.calls.append(f"empty on {device}")


def use(monkeypatch: pytest.MonkeyPatch, kind: str | None, **settings: Any) -> FakeTorch:
    fake = FakeTorch(kind, **settings)
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


@pytest.mark.parametrize(
    ("found", "kind"), [("cuda", "cuda"), ("xpu", "xpu"), ("mps", "mps"), (None, "cpu"), ("npu", "cpu")]
)
def test_the_kind_is_torchs_word(found: str | None, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, found)
    assert device.kind() == kind
    assert device.on_accelerator() is (kind != "cpu")
    assert device.torch_device() == kind


def test_here_it_is_the_cpu() -> None:
    assert device.torch_device() == real_torch.device("cpu")
    assert device.native_bfloat16() is None
    assert (device.total_bytes(), device.free_bytes(), device.name(), device.uuid()) == (None,) * 4
    device.synchronize()
    device.empty_cache()
    assert device.seen() == []


@pytest.mark.parametrize(
    ("kind", "bfloat16", "native"),
    [("cuda", True, True), ("cuda", False, False), ("xpu", True, True), ("xpu", False, False)],
)
def test_bfloat16_that_is_only_emulated_does_not_count(
    kind: str, bfloat16: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, kind, bfloat16=bfloat16)
    assert device.native_bfloat16() is native


def test_mps_tells_nothing_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "mps")
    assert device.native_bfloat16() is False
    assert (device.total_bytes(), device.free_bytes(), device.uuid()) == (16 * GIB, 11 * GIB, None)


def test_memory_name_and_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "cuda")
    assert (device.total_bytes(), device.free_bytes()) == (80 * GIB, 60 * GIB)
    assert (device.name(), device.uuid()) == ("a cuda", "12-34")


def test_waiting_and_freeing_reach_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, "xpu")
    device.synchronize()
    device.empty_cache()
    assert fake.calls == ["synchronize", "empty_cache"]


def test_nothing_is_waited_for_where_torch_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    device.synchronize()
    assert "torch" not in sys.modules


def test_the_allocator_makes_the_context_and_reads_torchs_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, "cuda")
    allocator = device.Allocator()
    allocator.reset_peaks()
    assert fake.calls == ["empty on cuda", "reset"]
    assert (allocator.peak_allocated(), allocator.peak_reserved()) == (7, 9)
    assert (allocator.retries(), allocator.ooms()) == (0, 1)


@pytest.mark.parametrize(("hip", "kind"), [(None, "cuda"), ("6.2", "rocm")])
def test_what_a_parent_is_told(hip: str | None, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "cuda", hip=hip)
    one = {"kind": kind, "name": "a cuda", "uuid": "12-34", "memory_bytes": 80 * GIB}
    assert device.seen() == [one, one]


def test_the_module_prints_what_torch_sees() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.measure.device"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "HIP out of memory. Tried to allocate 2.00 GiB.",
        "XPU out of memory. Tried to allocate 2.00 GiB.",
        "MPS backend out of memory (MPS allocated: 9.00 GB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA driver error: out of memory",
        "nvrtc: error: failed to compile: NVRTC_ERROR_OUT_OF_MEMORY",
        "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    ],
)
def test_allocations_of_every_library_count(message: str) -> None:
    assert device.is_out_of_memory(RuntimeError(message))


def test_torchs_own_error_counts_whatever_it_says() -> None:
    assert device.is_out_of_memory(real_torch.OutOfMemoryError("no"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        ValueError("out of memory"),
        MemoryError(),
    ],
)
def test_other_errors_are_none_of_memory(error: Exception) -> None:
    assert not device.is_out_of_memory(error)


@pytest.mark.parametrize(("free", "full"), [(200 << 20, True), (20 * GIB, False)])
def test_a_handle_that_cannot_be_made_counts_where_little_is_free(
    free: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "cuda").free = free
    for library in ("CUBLAS", "CUDNN"):
        assert device.is_out_of_memory(RuntimeError(f"{library}_STATUS_NOT_INITIALIZED")) is full
