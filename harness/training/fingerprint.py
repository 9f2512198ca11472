"""Digests of weights and rows, by which stages are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any


def digest_rows(rows: Sequence[Any]) -> str:
    """16 hex digits of a sha256 over `rows` as JSON."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def fingerprint_weights(model: Any, *, adapter: str | None = "default") -> str:
    """A digest of every parameter's sum and absolute sum, with those of one adapter or of none."""
    rows = [
        (
            name.replace(f".{adapter}", ""),
            float(p.detach().double().sum()),
            float(p.detach().double().abs().sum()),
        )
        for name, p in model.named_parameters()
        if "lora_" not in name or f".{adapter}." in name
    ]
    return digest_rows(rows)
