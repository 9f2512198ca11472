"""MFU and HFU: how much of a device's peak rate a stage used.

MFU counts the FLOPs that training needs, without any recomputation; HFU those that ran
(Chowdhery et al. 2022, arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Peak:
    """FLOP/s of a device and where the figure comes from."""

    flops_per_second: float
    source: str


# Dense peaks in TFLOP/s from NVIDIA's data sheets (figures "with sparsity" halved), by the first
# of these names that stands in NVML's; more special names come first.
_PUBLISHED: tuple[tuple[str, dict[str, float]], ...] = (
    ("GH200", {"bfloat16": 989.5, "float16": 989.5, "float32": 67.0}),
    ("B200", {"bfloat16": 2250.0, "float16": 2250.0, "float32": 80.0}),
    ("H200 NVL", {"bfloat16": 835.5, "float16": 835.5, "float32": 60.0}),
    ("H200", {"bfloat16": 989.5, "float16": 989.5, "float32": 67.0}),
    ("H100 NVL", {"bfloat16": 835.5, "float16": 835.5, "float32": 60.0}),
    ("H100 PCIe", {"bfloat16": 756.5, "float16": 756.5, "float32": 51.0}),
    ("H100", {"bfloat16": 989.5, "float16": 989.5, "float32": 67.0}),
    ("A100", {"bfloat16": 312.0, "float16": 312.0, "float32": 19.5}),
    ("A10G", {"bfloat16": 70.0, "float16": 70.0, "float32": 31.5}),
    ("A10", {"bfloat16": 125.0, "float16": 125.0, "float32": 31.2}),
    ("L40S", {"bfloat16": 362.0, "float16": 362.0, "float32": 91.6}),
    ("L4", {"bfloat16": 121.0, "float16": 121.0, "float32": 30.3}),
    ("RTX 4090", {"bfloat16": 165.2, "float16": 165.2, "float32": 82.6}),
    ("RTX 3090", {"bfloat16": 71.0, "float16": 71.0, "float32": 35.6}),
    ("V100", {"float16": 125.0, "float32": 15.7}),
    ("T4", {"float16": 65.0, "float32": 8.1}),
)


def published_peak(device: str, dtype: str) -> Peak | None:
    """The data sheet's dense peak for NVML's name of a GPU, or None."""
    for name, peaks in _PUBLISHED:
        if name.lower() in device.lower() and dtype in peaks:
            return Peak(peaks[dtype] * 1e12, f"NVIDIA data sheet of {name}, dense {dtype}")
    return None


def measured_peak(*, size: int = 1024, seconds: float = 0.5) -> Peak:
    """The best rate of square float32 matrix products on this CPU within about `seconds`."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    torch.mm(a, b)
    return _fastest(lambda: torch.mm(a, b), 2.0 * size**3, seconds, f"measured GEMM {size}, float32")


def _fastest(product: Any, flops: float, seconds: float, source: str) -> Peak:
    deadline = time.perf_counter() + seconds
    best = float("inf")
    while True:
        began = time.perf_counter()
        product()
        now = time.perf_counter()
        best = min(best, now - began)
        if now > deadline:
            return Peak(flops / best, source)


def device_peak(dtype: str) -> tuple[Peak | None, str | None]:
    """The peak of the device that torch computes on, or why none is known.

    Of a GPU the data sheet's, of a CPU a measured one, for float32 alone.
    """
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return published_peak(name, dtype), f"no published peak of {name} in {dtype} is known here"
    if dtype != "float32":
        return None, f"no peak is measured on a CPU in {dtype}"
    return measured_peak(), None


def utilisation(useful: float, executed: float, seconds: float, peak: Peak) -> tuple[float, float]:
    """MFU and HFU as shares of `peak`; above 1 the peak is not that of this device."""
    whole = seconds * peak.flops_per_second
    return useful / whole, executed / whole
