"""How fast a device multiplies matrices: what MFU is a share of."""

from __future__ import annotations

from harness.records.base import Record


class MatmulRate(Record):
    """FLOP/s of large matrix products. Each of `repeats` kept its best; these are of those.

    Other work on the machine only ever slows a product down, so the highest is nearest to the peak.
    """

    highest: float
    median: float
    lowest: float
    repeats: int
    source: str


class DevicePeak(Record):
    """What MFU is a share of, or why there is none; `measured` is what products reached on the device."""

    flops_per_second: float | None
    source: str | None
    reason: str | None
    measured: MatmulRate | None = None
