"""MFU and HFU: how much of a device's peak rate a stage used.

MFU counts the FLOPs that training needs, without any recomputation; HFU those that ran
(Chowdhery et al. 2022, arXiv 2204.02311, appendix B). The peak is found once for a comparison and is
the same for all its arms: a data sheet's where one is known, else that of measured products.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.measure import device
from harness.records import DevicePeak, MatmulRate, TrainFacts

DTYPES = ("float32", "bfloat16")
CPU_SIZES, ACCELERATOR_SIZES = (1024, 2048), (4096, 8192)
REPEATS, SECONDS_A_SIZE = 5, 0.1


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


def published_peak(name: str, dtype: str) -> Peak | None:
    """The data sheet's dense peak for NVML's name of a GPU, or None."""
    for known, peaks in _PUBLISHED:
        if known.lower() in name.lower() and dtype in peaks:
            return Peak(peaks[dtype] * 1e12, f"NVIDIA data sheet of {known}, dense {dtype}")
    return None


def compute_dtype(facts: TrainFacts) -> str | None:
    """What a stage's matrix products run in: bfloat16 at every precision but float32.

    Records without a precision name the weights' dtype alone, in which the products ran too.
    """
    if facts.precision is None:
        return facts.dtype
    return "float32" if facts.precision == "float32" else "bfloat16"


def device_peaks(dtypes: Sequence[str] = DTYPES) -> dict[str, DevicePeak]:
    """The peak of this process's device in each dtype; takes about a second a dtype."""
    return {dtype: device_peak(dtype) for dtype in dtypes}


def device_peak(dtype: str) -> DevicePeak:
    """The data sheet's peak with what products reached beside it; theirs alone where none is known."""
    try:
        measured = measured_rate(dtype)
    except RuntimeError as error:
        reason = f"products in {dtype} cannot be measured here: {str(error).splitlines()[0]}"
        return DevicePeak(flops_per_second=None, source=None, reason=reason)
    name = device.name()
    published = published_peak(name, dtype) if name is not None else None
    peak = published or Peak(measured.highest, f"measured {measured.source}")
    return DevicePeak(
        flops_per_second=peak.flops_per_second, source=peak.source, reason=None, measured=measured
    )


def measured_rate(
    dtype: str,
    *,
    sizes: Sequence[int] | None = None,
    repeats: int = REPEATS,
    seconds: float = SECONDS_A_SIZE,
) -> MatmulRate:
    """The rate of square products in `dtype`, each size for about `seconds` in every repeat.

    A size whose smaller one took longer than that is left out.
    """
    sizes = sizes or (ACCELERATOR_SIZES if device.on_accelerator() else CPU_SIZES)
    products: list[tuple[Callable[[], object], float]] = []
    for size in sizes:
        product = _product(size, dtype)
        if products and _seconds_of(products[-1][0]) > seconds:
            break
        _seconds_of(product)
        products.append((product, 2.0 * size**3))
    best = [max(flops / _fastest(product, seconds) for product, flops in products) for _ in range(repeats)]
    return MatmulRate(
        highest=max(best),
        median=statistics.median(best),
        lowest=min(best),
        repeats=repeats,
        source=f"matrix products of {' and '.join(map(str, sizes[: len(products)]))}, {dtype}",
    )


def _product(size: int, dtype: str) -> Callable[[], object]:
    import torch

    a, b = (
        torch.randn(size, size, dtype=getattr(torch, dtype), device=device.torch_device()) for _ in range(2)
    )
    return lambda: torch.mm(a, b)


def _fastest(product: Callable[[], object], seconds: float) -> float:
    """The shortest time of one product, tried for about `seconds` and at least once."""
    spent = best = _seconds_of(product)
    while spent < seconds:
        took = _seconds_of(product)
        spent, best = spent + took, min(best, took)
    return best


def _seconds_of(product: Callable[[], object]) -> float:
    began = device.now()
    product()
    return device.now() - began


def utilisation(useful: float, executed: float, seconds: float, peak: Peak) -> tuple[float, float]:
    """MFU and HFU as shares of `peak`; above 1 the peak is not that of this device."""
    whole = seconds * peak.flops_per_second
    return useful / whole, executed / whole
