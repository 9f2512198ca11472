"""Peak memory: what CUDA's allocator handed out, or the host's VmHWM on a CPU.

`ru_maxrss` is not used: it inherits the parent's peak. On a CPU most of the peak is imports, so
the growth above the level after imports is reported beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.records import Measurement

NO_GPU = "no CUDA device"


def _measured(quantity: str, value: float | int | None, source: str, reason: str | None) -> Measurement:
    return Measurement(
        quantity=quantity,
        value=value,
        unit="B",
        scope="stage",
        source=source,
        reason=reason if value is None else None,
    )


def read_high_water_mark(status: str) -> int | None:
    """VmHWM in bytes from the text of `/proc/self/status`, or None."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


class HostMemory:
    """The process's resident high-water mark, which the kernel can set back."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc

    def reset(self) -> str | None:
        """Set the mark to the present level; returns why not, or None."""
        try:
            (self._proc / "clear_refs").write_text("5")
        except OSError as error:
            return f"the high-water mark cannot be reset: {error.strerror}"
        return None

    def peak(self) -> int | None:
        """Bytes, or None where the kernel does not tell."""
        try:
            return read_high_water_mark((self._proc / "status").read_text())
        except OSError:
            return None


class MemoryMeter:
    """Peak memory from `start()` to `freeze()`, or to `measurements()` if nobody froze it."""

    def __init__(self, *, device: str, host: HostMemory | None = None) -> None:
        self._device = device
        self._host = host or HostMemory()
        self._no_reset: str | None = None
        self._after_imports: int | None = None
        self._frozen: list[Measurement] | None = None

    def start(self) -> None:
        """Forget what imports took."""
        self._no_reset = self._host.reset()
        self._after_imports = self._host.peak()
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()

    def freeze(self) -> None:
        """Keep the figures of this moment: what runs after is not part of the stage's cost."""
        self._frozen = self._read()

    def measurements(self) -> list[Measurement]:
        """The ledger's memory entries; `peak_memory_bytes` is the headline."""
        return self._frozen if self._frozen is not None else self._read()

    def _read(self) -> list[Measurement]:
        peak, no_host = self._host.peak(), "the kernel does not report VmHWM"
        growth = None if None in (peak, self._after_imports) else peak - self._after_imports  # type: ignore[operator]
        host = [
            _measured("host_peak_rss_bytes", peak, "VmHWM", no_host),
            _measured(
                "host_growth_bytes",
                growth if self._no_reset is None else None,
                "VmHWM above its value after imports",
                self._no_reset or no_host,
            ),
        ]
        if self._device == "cuda":
            return [*self._cuda(), *host]
        return [
            _measured("peak_memory_bytes", peak, "host memory: VmHWM", no_host),
            _measured("peak_allocated_bytes", None, "torch.cuda", NO_GPU),
            _measured("peak_reserved_bytes", None, "torch.cuda", NO_GPU),
            *host,
        ]

    def _cuda(self) -> list[Measurement]:
        import torch

        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        settings = os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or "defaults"
        stats: dict[str, Any] = torch.cuda.memory_stats()
        events = f"allocator settings: {settings}"
        return [
            _measured("peak_memory_bytes", allocated, "torch.cuda.max_memory_allocated", None),
            _measured("peak_allocated_bytes", allocated, f"torch.cuda; {events}", None),
            _measured("peak_reserved_bytes", reserved, f"torch.cuda; {events}", None),
            Measurement(
                quantity="alloc_retries",
                value=stats.get("num_alloc_retries", 0),
                unit="1",
                scope="stage",
                source="torch.cuda.memory_stats",
            ),
            Measurement(
                quantity="ooms",
                value=stats.get("num_ooms", 0),
                unit="1",
                scope="stage",
                source="torch.cuda.memory_stats",
            ),
        ]
