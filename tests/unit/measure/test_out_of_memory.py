"""Every way in which an accelerator says that its memory is full."""

from __future__ import annotations

import pytest
import torch as real_torch
from fake_torch import GIB, use

from harness.measure.out_of_memory import is_out_of_memory


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
        "HIP error: out of memory",
        "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
        "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    ],
)
def test_allocations_of_every_library_count(message: str) -> None:
    assert is_out_of_memory(RuntimeError(message))


def test_torchs_own_error_counts_whatever_it_says() -> None:
    assert is_out_of_memory(real_torch.OutOfMemoryError("no"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"),
        ValueError("CUDA out of memory"),
        OSError("no space left on device"),
        MemoryError(),
    ],
)
def test_other_errors_are_none_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(("free", "full"), [(200 << 20, True), (20 * GIB, False)])
def test_a_handle_that_cannot_be_made_counts_where_little_is_free(
    free: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "cuda").free = free
    for library in ("CUBLAS", "CUDNN"):
        assert is_out_of_memory(RuntimeError(f"{library}_STATUS_NOT_INITIALIZED")) is full
