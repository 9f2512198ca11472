"""The one door to the accelerator: what it is, how much it holds, whether it is done.

Everything else asks here, so that CUDA, ROCm (torch's `cuda`), XPU and MPS take the same path where
they can. There is one device: `stages.runner` hides all others from a stage.

`python -m harness.measure.device` prints what torch sees, as JSON, for a parent that does not load torch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from harness.records import DeviceKind

if TYPE_CHECKING:
    import torch

KINDS: tuple[DeviceKind, ...] = ("cuda", "xpu", "mps")
HIDDEN = ("", "-1")
"""What a variable of visible devices says to hide all of them."""


def kind() -> DeviceKind:
    """What torch computes on, in torch's words; `cpu` where there is no accelerator that we know."""
    import torch

    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return next((known for known in KINDS if found is not None and found.type == known), "cpu")


def torch_device() -> torch.device:
    """Where models and batches go."""
    import torch

    return torch.device(kind())


def on_accelerator() -> bool:
    """Whether there is anything but the CPU."""
    return kind() != "cpu"


def is_rocm() -> bool:
    """Whether torch's `cuda` is AMD's."""
    import torch

    return getattr(torch.version, "hip", None) is not None


def visible_entries(variable: str) -> list[str] | None:
    """What a variable such as `CUDA_VISIBLE_DEVICES` names, in order; None where it is not set."""
    value = os.environ.get(variable)
    return None if value is None else [entry.strip() for entry in value.split(",") if entry.strip()]


def is_in_use() -> bool:
    """Whether this process has loaded torch and made a context on the accelerator."""
    if "torch" not in sys.modules or kind() not in ("cuda", "xpu"):
        return False
    return bool(_module().is_initialized())


def lost_by_fork() -> bool:
    """In a forked process: whether its parent had asked an accelerator's driver, which then fails here."""
    import torch

    return bool(torch.cuda._is_in_bad_fork() or torch.xpu._is_in_bad_fork())


def synchronize() -> None:
    """Return when the accelerator has done all its work; nothing where torch is not loaded."""
    if "torch" in sys.modules and on_accelerator():
        import torch

        torch.accelerator.synchronize()


def now() -> float:
    """`perf_counter` once the accelerator has done all its work."""
    synchronize()
    return time.perf_counter()


def empty_cache() -> None:
    """Give back what the allocator holds and does not use."""
    if on_accelerator():
        _module().empty_cache()


def native_bfloat16() -> bool | None:
    """Whether the accelerator computes in bfloat16 itself; None on a CPU, whose default is float32.

    Older cards (V100, T4) only emulate it. torch says yes for all of ROCm, and nothing of MPS, whose
    first generation emulates: there it is no.
    """
    import torch

    match kind():
        case "cpu":
            return None
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case "xpu":
            return bool(torch.xpu.get_device_properties().has_bfloat16_conversions)
        case _:
            return False


def total_bytes() -> int | None:
    """Memory of the accelerator; what MPS recommends of the memory that it shares; None on a CPU."""
    match kind():
        case "cpu":
            return None
        case "mps":
            return int(_module().recommended_max_memory())
        case _:
            return int(_properties().total_memory)


def free_bytes() -> int | None:
    """Memory of the accelerator that no process holds now; None where it is not told."""
    match kind():
        case "cpu":
            return None
        case "mps":
            mps = _module()
            return int(mps.recommended_max_memory()) - int(mps.driver_allocated_memory())
        case _:
            return int(_module().mem_get_info()[0])


def name() -> str | None:
    """The accelerator's name, None on a CPU."""
    match kind():
        case "cpu":
            return None
        case "mps":
            return "Apple GPU"
        case _:
            return str(_properties().name)


def uuid() -> str | None:
    """The accelerator's UUID as NVML writes it, `GPU-...` or `MIG-...`; None where it has none."""
    return None if kind() in ("cpu", "mps") else _uuid_of(_properties(), 0)


class Allocator:
    """torch's caching allocator on the accelerator; makes its context, so that it counts as start-up."""

    def __init__(self) -> None:
        import torch

        torch.empty(1, device=torch_device())

    def reset_peaks(self) -> None:
        """Set both peaks to the present level."""
        import torch

        torch.accelerator.reset_peak_memory_stats()

    def peak_allocated(self) -> int:
        """Bytes of tensors at their peak."""
        return self._statistic("allocated_bytes.all.peak")

    def peak_reserved(self) -> int:
        """Bytes taken from the device at their peak."""
        return self._statistic("reserved_bytes.all.peak")

    def release(self) -> None:
        """Give back what is held and not used."""
        empty_cache()

    def retries(self) -> int:
        """Allocations of this process that had to empty the cache first."""
        return self._statistic("num_alloc_retries")

    def ooms(self) -> int:
        """Allocations of this process that failed."""
        return self._statistic("num_ooms")

    def _statistic(self, name: str) -> int:
        import torch

        return int(torch.accelerator.memory_stats().get(name, 0))


def seen() -> list[dict[str, Any]]:
    """Every accelerator that torch sees, in its order: kind, name, uuid, memory_bytes."""
    import torch

    if not on_accelerator() or kind() == "mps":
        return []
    properties = [_module().get_device_properties(i) for i in range(torch.accelerator.device_count())]
    return [
        {
            "kind": "rocm" if is_rocm() else kind(),
            "name": str(one.name),
            "uuid": _uuid_of(one, index),
            "memory_bytes": int(one.total_memory),
        }
        for index, one in enumerate(properties)
    ]


def _module() -> Any:
    """torch.cuda, torch.xpu or torch.mps: what torch.accelerator has no word for in every version."""
    import torch

    return torch.get_device_module(kind())


def _properties() -> Any:
    return _module().get_device_properties()


def _uuid_of(properties: Any, index: int) -> str | None:
    """torch leaves the prefix out; a slice is known by the variable that made it visible."""
    entry = dict(enumerate(visible_entries("CUDA_VISIBLE_DEVICES") or ())).get(index, "")
    if entry.startswith("MIG-"):
        return entry
    uuid = getattr(properties, "uuid", None)
    return None if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"


if __name__ == "__main__":
    print(json.dumps(seen()))
