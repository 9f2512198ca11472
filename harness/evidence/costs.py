"""What an arm costs: the sum of its stages' seconds, FLOPs and joules, the maximum of their bytes.

A stage that two arms share costs each of them what it would have cost alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.statistics.estimate import Estimate, log_ratio
from harness.evidence.view import ComparisonView
from harness.records import StageResult

SUMMED = ("wall_seconds", "flops", "energy_joules")
MAXIMAL = ("peak_memory_bytes",)
TIMED = ("wall_seconds", "energy_joules")
QUANTITIES = (*SUMMED[:1], *MAXIMAL, *SUMMED[1:])


@dataclass(frozen=True)
class Cost:
    """One quantity of one arm. `per_block` has every measured cell, `per_seed` their means by seed
    (of bytes the maximum); `value` is the mean over seeds, of bytes the maximum.

    `sources` are the digests of the stages behind it.
    """

    quantity: str
    value: float | None
    per_seed: tuple[float, ...]
    reason: str | None
    sources: tuple[str, ...]
    per_block: tuple[float, ...] = ()


def cell_cost(stages: Sequence[StageResult], quantity: str) -> tuple[float | None, str | None]:
    """A cell's figure, or None and the reason of the first stage that lacks it."""
    if not stages:
        return None, "nothing was trained here"
    values = []
    for stage in stages:
        measured = stage.measured(quantity)
        if measured is None or measured.value is None:
            why = measured.reason if measured else "the stage did not record it"
            return None, f"{stage.name}: {why}"
        values.append(float(measured.value))
    return (max(values) if quantity in MAXIMAL else sum(values)), None


def arm_cost(view: ComparisonView, arm: str, quantity: str) -> Cost:
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


def cost_ratio(view: ComparisonView, a: str, b: str, quantity: str) -> Estimate:
    """Arm a's figure over arm b's: of seconds and joules the geometric mean over blocks with its 95%
    interval, of FLOPs and bytes a value."""
    left, right = arm_cost(view, a, quantity), arm_cost(view, b, quantity)
    if left.value is None or not right.value:
        reason = left.reason or right.reason or "a measured figure is zero"
        return Estimate(None, None, None, 0, None, "", reason=reason)
    if quantity in TIMED:
        return log_ratio(left.per_block, right.per_block)
    ratio, n = left.value / right.value, len(left.per_block)
    return Estimate(ratio, None, None, n, None, "this run", reason="a repeatable value, no interval")


def _summary(values: Sequence[float], quantity: str) -> float:
    """The mean, of bytes the maximum."""
    return max(values) if quantity in MAXIMAL else sum(values) / len(values)


def share_of_imports(view: ComparisonView) -> float | None:
    """How much of the host's peak was there before any work, at least, over all training stages."""
    shares = []
    for arm in view.arms:
        for cell in view.blocks_of(arm):
            for stage in view.stages_of(cell):
                peak, growth = stage.measured("host_peak_rss_bytes"), stage.measured("host_growth_bytes")
                if peak and peak.value and growth and growth.value is not None:
                    shares.append(1 - growth.value / peak.value)
    return min(shares) if shares else None


def memory_kind(view: ComparisonView) -> str:
    """`cuda_allocated` or `host_rss`: what peak_memory_bytes means here."""
    stages = [s for cell in view.record.plan.cells for s in view.stages_of(cell)]
    return "cuda_allocated" if stages and all(s.environment.device == "cuda" for s in stages) else "host_rss"


def memory_name(view: ComparisonView) -> str:
    """VRAM only where it is."""
    return "peak VRAM" if memory_kind(view) == "cuda_allocated" else "peak host memory"
