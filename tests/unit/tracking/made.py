"""What a made stage says while it trains, and what it leaves behind."""

from __future__ import annotations

from typing import Any

STEPS = 12


def messages() -> list[dict[str, Any]]:
    """What a stage's process says of its steps."""
    return [
        {"step": step, "total": STEPS, "metrics": {"loss": 1 / step, "elapsed_seconds": 2.0 * step}}
        for step in range(1, STEPS + 1)
    ]


def rows() -> list[dict[str, Any]]:
    """The same in the record, with running FLOPs and probes beside them."""
    steps = [
        {"step": m["step"], "metrics": {**m["metrics"], "elapsed_flops": 10.0 * m["step"]}}
        for m in messages()
    ]
    probes = [
        {"step": step, "metrics": {"probe_margin": 0.1 * step, "elapsed_seconds": 2.0 * step + 1}}
        for step in (0, STEPS)
    ]
    return [probes[0], *steps, probes[1]]
