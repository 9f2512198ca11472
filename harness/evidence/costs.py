"""What an arm costs: the sum of its stages' seconds, FLOPs and joules, the maximum of their bytes.

A stage that two arms share costs each of them what it would have cost alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.statistics.estimate import Estimate, log_ratio
from harness.evidence.view import ComparisonView
from harness.quantities import HOST_GROWTH, HOST_PEAK, Quantity
from harness.records import HAS_VRAM, StageResult


class MemoryKind(StrEnum):
    """What a run's peak memory is a peak of."""

    CUDA = "cuda_allocated"
    HOST = "host_rss"


@dataclass(frozen=True)
class Cost:
    """One quantity of one arm. `per_block` has every measured cell, `per_seed` their means by seed
    (of bytes the maximum); `value` is the mean over seeds, of bytes the maximum.

    `sources` are the digests of the stages behind it.
    """

    quantity: Quantity
    value: float | None
    per_seed: tuple[float, ...]
    reason: str | None
    sources: tuple[str, ...]
    per_block: tuple[float, ...] = ()


def measured_value(stage: StageResult, quantity: Quantity) -> float | None:
    """A stage's figure, None where the stage has none."""
    measured = stage.measured(quantity.name)
    return None if measured is None or measured.value is None else float(measured.value)


def cell_cost(stages: Sequence[StageResult], quantity: Quantity) -> tuple[float | None, str | None]:
    """A cell's figure, or None and the reason of the first stage that lacks it."""
    if not stages:
        return None, "nothing was trained here"
    values = []
    for stage in stages:
        measured = stage.measured(quantity.name)
        if measured is None or measured.value is None:
            why = measured.reason if measured else "the stage did not record it"
            return None, f"{stage.name}: {why}"
        values.append(float(measured.value))
    return (max(values) if quantity.over_stages == "max" else sum(values)), None


def arm_cost(view: ComparisonView, arm: str, quantity: Quantity) -> Cost:
    """The arm's figure over its seeds and repeats."""
    by_seed: dict[int, list[float]] = {}
    reason = None
    cells = view.blocks_of(arm)
    for cell in cells:
        value, why = cell_cost(view.stages_of(cell), quantity)
        if value is None:
            reason = why
        else:
            by_seed.setdefault(cell.seed, []).append(value)
    sources = tuple(dict.fromkeys(digest for cell in cells for digest in cell.stages))
    if reason is not None or not by_seed:
        return Cost(quantity, None, (), reason or "no cell", sources)
    per_seed = tuple(_summary(values, quantity) for values in by_seed.values())
    blocks = tuple(value for values in by_seed.values() for value in values)
    return Cost(quantity, _summary(per_seed, quantity), per_seed, None, sources, blocks)


def cost_ratio(view: ComparisonView, a: str, b: str, quantity: Quantity) -> Estimate:
    """Arm a's figure over arm b's: of seconds and joules the geometric mean over blocks with its 95%
    interval, of FLOPs and bytes a value."""
    left, right = arm_cost(view, a, quantity), arm_cost(view, b, quantity)
    if left.value is None or not right.value:
        return Estimate.absent(left.reason or right.reason or "a measured figure is zero")
    if quantity.timed:
        return log_ratio(left.per_block, right.per_block)
    ratio, n = left.value / right.value, len(left.per_block)
    return Estimate(ratio, None, None, n, None, "this run", reason="a counted value")


def _summary(values: Sequence[float], quantity: Quantity) -> float:
    """The mean, of bytes the maximum."""
    return max(values) if quantity.over_stages == "max" else sum(values) / len(values)


def share_of_imports(view: ComparisonView) -> float | None:
    """How much of the host's peak was there before any work, at least, over all training stages."""
    shares = []
    for cell in view.record.plan.cells:
        for stage in view.stages_of(cell):
            peak, growth = measured_value(stage, HOST_PEAK), measured_value(stage, HOST_GROWTH)
            if peak and growth is not None:
                shares.append(1 - growth / peak)
    return min(shares) if shares else None


def memory_kind(view: ComparisonView) -> MemoryKind:
    """What peak memory means here."""
    stages = [stage for cell in view.record.plan.cells for stage in view.stages_of(cell)]
    on_gpu = stages and all(stage.environment.device in HAS_VRAM for stage in stages)
    return MemoryKind.CUDA if on_gpu else MemoryKind.HOST


def cost_title(view: ComparisonView, quantity: Quantity) -> str:
    """The quantity's title; peak memory is VRAM only where it is."""
    if quantity.over_stages != "max":
        return quantity.title
    return "peak VRAM" if memory_kind(view) == MemoryKind.CUDA else HOST_PEAK.title
