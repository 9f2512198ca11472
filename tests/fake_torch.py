"""A torch that a test makes up, for accelerators that no machine of the tests has."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch as real_torch

GIB = 1 << 30


class FakeTorch(SimpleNamespace):
    """The part of torch that is asked, for one kind of accelerator or none."""

    def __init__(self, kind: str | None, *, hip: str | None = None, bfloat16: bool = True) -> None:
        properties = SimpleNamespace(
            name=f"a {kind}", total_memory=80 * GIB, uuid="12-34", has_bfloat16_conversions=bfloat16
        )
        self.calls: list[str] = []
        self.free = 60 * GIB
        self.initialised = True
        module = SimpleNamespace(
            get_device_properties=lambda index=0: properties,
            mem_get_info=lambda: (self.free, 80 * GIB),
            empty_cache=lambda: self.calls.append("empty_cache"),
            is_bf16_supported=lambda including_emulation=True: including_emulation or bfloat16,
            recommended_max_memory=lambda: 16 * GIB,
            driver_allocated_memory=lambda: 5 * GIB,
            is_initialized=lambda: self.initialised,
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
