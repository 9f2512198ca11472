"""What an arm costs: the sum of its stages' seconds, FLOPs and joules, the maximum of their bytes. Seconds of
a stage on several devices are charged for each of them.

A stage that two arms share costs each of them what it would have cost alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from harness.evidence.statistics.estimate import KIND_TARGET, Estimate, log_ratio
from harness.evidence.statistics.kinds import OverKinds, over_kinds
from harness.evidence.view import ComparisonView
from harness.pipeline.block_devices import Key
from harness.quantities import DEVICE_SECONDS, HOST_GROWTH, HOST_PEAK, WALL_SECONDS, Quantity
from harness.records import HAS_VRAM, PlannedCell, StageResult

BY_KIND = "it is of several kinds of device, and stands by kind"


class MemoryKind(StrEnum):
    """What a run's peak memory is a peak of."""

    CUDA = "cuda_allocated"
    HOST = "host_rss"


@dataclass(frozen=True)
class Cost:
    """One quantity of one arm. `by_block` has every measured cell by seed and repeat, `per_seed` their means
    by seed (of bytes the maximum); `value` is the mean over seeds, of bytes the maximum.

    `sources` are the digests of the stages behind it.
    """

    quantity: Quantity
    value: float | None
    per_seed: tuple[float, ...]
    reason: str | None
    sources: tuple[str, ...]
    by_block: Mapping[Key, float] = field(default_factory=dict)


def measured_value(stage: StageResult, quantity: Quantity) -> float | None:
    """A stage's figure, None where the stage has none."""
    measured = stage.measured(quantity.name)
    return None if measured is None or measured.value is None else float(measured.value)


def devices_of(stage: StageResult) -> int:
    """How many devices shared a stage."""
    parallel = getattr(stage.facts, "parallel", None)
    return 1 if parallel is None else int(parallel.devices)


def charged_value(stage: StageResult, quantity: Quantity) -> float | None:
    """A stage's figure as its arm is charged for it: device-seconds in the place of seconds."""
    value = measured_value(stage, quantity)
    return value * devices_of(stage) if value is not None and quantity.unit == "s" else value


def cell_cost(stages: Sequence[StageResult], quantity: Quantity) -> tuple[float | None, str | None]:
    """A cell's figure, or None and the reason of the first stage that lacks it."""
    if not stages:
        return None, "nothing was trained here"
    values = []
    for stage in stages:
        value = charged_value(stage, quantity)
        if value is None:
            measured = stage.measured(quantity.name)
            why = measured.reason if measured else "the stage did not record it"
            return None, f"{stage.name}: {why}"
        values.append(value)
    return (max(values) if quantity.over_stages == "max" else sum(values)), None


def arm_cost(view: ComparisonView, arm: str, quantity: Quantity, kind: str | None = None) -> Cost:
    """The arm's figure over its seeds and repeats, or over those whose blocks ran on one `kind` of device.

    Seconds, joules and bytes of a block that left its device are no part of it. Seconds and joules of several
    kinds of device have no mean: without `kind` the value is then None, and `by_block` has them all.
    """
    cells = [cell for cell in view.blocks_of(arm) if counts(view, cell, quantity, kind)]
    sources = tuple(dict.fromkeys(digest for cell in cells for digest in cell.stages))
    by_block, reason = dict[Key, float](), None if cells else _why_no_cell(view, arm)
    for cell in cells:
        value, why = cell_cost(view.stages_of(cell), quantity)
        if value is None:
            reason = why
        else:
            by_block[cell.seed, cell.repeat] = value
    if reason is not None:
        return Cost(quantity, None, (), reason, sources)
    if quantity.timed and kind is None and view.mixed_fleet:
        return Cost(quantity, None, (), BY_KIND, sources, by_block)
    by_seed: dict[int, list[float]] = {}
    for (seed, _), value in by_block.items():
        by_seed.setdefault(seed, []).append(value)
    per_seed = tuple(_summary(values, quantity) for values in by_seed.values())
    return Cost(quantity, _summary(per_seed, quantity), per_seed, None, sources, by_block)


def counts(view: ComparisonView, cell: PlannedCell, quantity: Quantity, kind: str | None = None) -> bool:
    """Whether a cell's figure may stand beside those of other arms, or be of `kind`: its block stayed on one
    device, or the quantity is the same on all."""
    block = view.blocks[cell.seed, cell.repeat]
    return (block.whole or quantity.same_everywhere) and kind in (None, block.kind)


def _why_no_cell(view: ComparisonView, arm: str) -> str:
    return "every block ran on several devices" if view.blocks_of(arm) else "no cell"


def cost_ratio(view: ComparisonView, a: str, b: str, quantity: Quantity) -> Estimate:
    """Arm a's figure over arm b's: of seconds and joules the geometric mean over blocks with its 95%
    interval, over several kinds of device their random-effects mean; of FLOPs and bytes a value."""
    left, right = arm_cost(view, a, quantity), arm_cost(view, b, quantity)
    if not left.by_block or not right.by_block:
        return Estimate.absent(left.reason or right.reason or "no cell")
    if quantity.timed:
        over = kind_ratios(view, left, right)
        return over.estimate if over is not None else _over_blocks(view, left, right)
    if not right.value or left.value is None:
        return Estimate.absent("a measured figure is zero")
    ratio, n = left.value / right.value, len(left.by_block)
    return Estimate(ratio, None, None, n, None, "this run", reason="a counted value")


def _over_blocks(view: ComparisonView, left: Cost, right: Cost) -> Estimate:
    """Over all blocks of devices of one kind."""
    pairs = _paired(left, right).values()
    ratio = log_ratio([a for a, _ in pairs], [b for _, b in pairs])
    return replace(ratio, target=KIND_TARGET) if len(view.places) > 1 else ratio


def kind_ratios(view: ComparisonView, left: Cost, right: Cost) -> OverKinds | None:
    """Ratios of a timed cost by kind of device, and over kinds; None where there is one kind, or a figure is
    zero and has no ratio."""
    if not view.mixed_fleet or any(value <= 0 for one in (left, right) for value in one.by_block.values()):
        return None
    logs: dict[str, list[float]] = {}
    for key, (above, below) in _paired(left, right).items():
        kind = view.blocks[key].kind
        assert kind is not None, "split blocks are no part of a timed cost"
        logs.setdefault(kind, []).append(math.log(above / below))
    return over_kinds({kind: logs[kind] for kind in view.kinds_of_device if kind in logs})


def _paired(left: Cost, right: Cost) -> dict[Key, tuple[float, float]]:
    """Both arms' figures in each block that has both."""
    return {k: (value, right.by_block[k]) for k, value in left.by_block.items() if k in right.by_block}


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


def on_several_devices(view: ComparisonView) -> bool:
    """Whether some stage of the run had more than one device."""
    return any(devices_of(stage) > 1 for stage in view.trained_stages)


def cost_title(view: ComparisonView, quantity: Quantity) -> str:
    """The quantity's title; peak memory is VRAM only where it is, and time is that of all devices."""
    if quantity == WALL_SECONDS and on_several_devices(view):
        return DEVICE_SECONDS.title
    if quantity.over_stages != "max":
        return quantity.title
    return "peak VRAM" if memory_kind(view) == MemoryKind.CUDA else HOST_PEAK.title
