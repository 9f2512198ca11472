"""The door to the accelerator, by a torch that a test makes up: no machine here has one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch as real_torch
from fake_torch import GIB, use

from harness.measure import device


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
    assert (device.name(), device.uuid()) == ("a cuda", "GPU-12-34")


def test_a_slice_is_known_by_the_variable_that_made_it_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,3")
    assert device.uuid() == "MIG-a"
    assert [gpu["uuid"] for gpu in device.seen()] == ["MIG-a", "GPU-12-34"]


def test_a_device_is_in_use_once_it_has_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.is_in_use() is False
    fake = use(monkeypatch, "cuda")
    assert device.is_in_use() is True
    fake.initialised = False
    assert device.is_in_use() is False


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
    one = {"kind": kind, "name": "a cuda", "uuid": "GPU-12-34", "memory_bytes": 80 * GIB}
    assert device.seen() == [one, one]


def test_the_module_prints_what_torch_sees() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.measure.device"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
