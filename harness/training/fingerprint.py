"""Digests of weights and rows, by which stages are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch

CHUNK = 1 << 20
"""Elements that are turned into float64 at a time: 8 MiB, whatever the size of a matrix."""


def digest_rows(rows: Sequence[Any]) -> str:
    """16 hex digits of a sha256 over `rows` as JSON."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def fingerprint_weights(model: Any, *, adapter: str | None = "default") -> str:
    """A digest of every parameter's sum and absolute sum, with those of one adapter or of none.

    Sums are made a chunk at a time, so that no copy of a matrix exists.
    """
    rows = [
        (name.replace(f".{adapter}", ""), *_sums(parameter.detach()))
        for name, parameter in model.named_parameters()
        if not is_of_adapter(name) or f".{adapter}." in name
    ]
    return digest_rows(rows)


def is_of_adapter(name: str) -> bool:
    """Whether a parameter belongs to some adapter, as peft names them."""
    return "lora_" in name or ".modules_to_save." in name


def _sums(weights: torch.Tensor) -> tuple[float, float]:
    """Sum and sum of absolute values in float64, read from the device at once."""
    total = torch.zeros(2, dtype=torch.float64, device=weights.device)
    for part in weights.reshape(-1).split(CHUNK):
        exact = part.double()
        total += torch.stack((exact.sum(), exact.abs_().sum()))
    first, second = total.tolist()
    return first, second
