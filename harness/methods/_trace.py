"""What a training run leaves behind for its ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.measure.flops import Bucket


@dataclass
class Totals:
    """The effective batch that is being worked on."""

    pairs: int = 0
    scored: int = 0


@dataclass
class Trace:
    """What a run leaves behind: rows of metrics, shapes of its batches, token counts.

    `shapes` are those of micro-batches in order, `micro_batches` says how many each optimizer
    step had. `forwarded` counts sequences by phase and `with_gradient` those that a gradient
    came back to, both by hooks on the models themselves.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[tuple[int, int, Any]] = field(default_factory=list)
    sums: dict[str, list[Any]] = field(default_factory=dict)
    tokens_real: list[Any] = field(default_factory=list)
    tokens_padded: int = 0
    micro_batches: list[int] = field(default_factory=list)
    forwarded: Counter[str] = field(default_factory=Counter)
    with_gradient: int = 0

    def add(self, name: str, values: torch.Tensor) -> None:
        """Values of one micro-batch, one per pair, kept on the device until they are logged."""
        self.sums.setdefault(name, []).append(values.detach())

    def drain(self) -> dict[str, float]:
        """The means over the effective batch since the last call."""
        means = {name: float(torch.cat(v).float().mean()) for name, v in self.sums.items()}
        self.sums.clear()
        return means

    def in_order(self) -> list[Bucket]:
        """The shape of every micro-batch that ran."""
        return [Bucket(b, t, int(s)) for b, t, s in self.shapes]
