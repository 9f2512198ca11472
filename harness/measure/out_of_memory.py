"""Whether an error says that the accelerator's memory is full."""

from __future__ import annotations

import re

from harness.measure import device

_FULL = re.compile(
    r"out of memory|_STATUS_ALLOC_FAILED|OUT_OF_(DEVICE_|HOST_)?MEMORY|OUT_OF_RESOURCES|hipErrorOutOfMemory",
    re.IGNORECASE,
)
"""What allocators of torch, CUDA, HIP and SYCL say, and cuBLAS, cuDNN, cuSOLVER and NVRTC beside them."""
_NO_HANDLE = re.compile(r"(CU|HIP)(BLAS|DNN|SOLVER)_STATUS_NOT_INITIALIZED", re.IGNORECASE)
_ROOM_FOR_A_HANDLE = 1 << 30
"""Bytes. A library's handle takes some hundred MiB; where more is free it failed for another reason."""


def is_out_of_memory(error: BaseException) -> bool:
    """torch's own error, or that of a library that allocates for itself (cuBLAS, cuDNN, NVRTC).

    Those raise a plain RuntimeError. A handle that could not be made counts where little memory is free.
    """
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    if _NO_HANDLE.search(str(error)):
        free = device.free_bytes()
        return free is not None and free < _ROOM_FOR_A_HANDLE
    return _FULL.search(str(error)) is not None
