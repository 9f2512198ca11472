"""How fast steps went, how much of the device they used, and what may have spoilt the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.evidence.cells import stage_cell
from harness.evidence.costs import devices_of, measured_value
from harness.evidence.peaks import device_peaks, disturbances, dtype_of, in_words, measured_on, peak_of
from harness.evidence.view import ComparisonView
from harness.measure.steps import StepTimes, step_times
from harness.measure.utilisation import Peak, utilisation
from harness.quantities import (
    CONDITIONS,
    FLOPS,
    PAIRS,
    REFERENCE_SECONDS,
    STEPS,
    TOKENS,
    TOKENS_PADDED,
    TRAIN_SECONDS,
    USEFUL_FLOPS,
)
from harness.records import HAS_VRAM, DevicePeak, StageResult
from harness.tables import Cell, Table

AMOUNTS = (STEPS, PAIRS, TOKENS, TOKENS_PADDED)
SPOILING = (
    "What else the machine did: shares of all cores' time, or of a GPU's samples. Named as spoiling: over 2% "
    "stolen, 10% other processes, 5% throttled, any swapping, a moving clock or power limit, other work on "
    "the GPU."
)


def throughput_table(view: ComparisonView) -> Table:
    """One row a training stage: steps without their warm-up, MFU and HFU, and what else the machine did."""
    peaks, kind = device_peaks(view), measured_on(view)
    rows = tuple(
        (
            Cell(stage.name, sources=(stage.digest,)),
            *(stage_cell(stage, quantity) for quantity in AMOUNTS),
            *_speed(stage, step_times(step_seconds(view.series.get(stage.digest, [])))),
            *_used(stage, peak_of(peaks, stage, kind)),
            *(stage_cell(stage, quantity) for quantity in CONDITIONS),
            Cell("; ".join(stage.notes) or "nothing"),
        )
        for stage in view.trained_stages
    )
    columns = (
        "stage",
        *(quantity.title for quantity in AMOUNTS),
        *(
            "warm-up",
            "median step",
            "10%",
            "90%",
            "real tokens/s",
            "padding",
            "computed / real",
            "MFU",
            "HFU",
        ),
        *(quantity.title for quantity in CONDITIONS),
        "spoils time and energy",
    )
    return Table("throughput", "How each stage ran", columns, rows, (_speed_note(view, peaks), SPOILING))


def _speed_note(view: ComparisonView, peaks: dict[str, DevicePeak]) -> str:
    note = (
        "Warm-up: first steps that take over 1.25 medians of the later half and lie beyond its spread; "
        "step times and tokens per second leave them out, totals never do. Computed / real: tokens that go "
        "through the blocks, of those that a pair's sequences have: over 100% with padding, under it where "
        "a prompt is computed once for two answers. MFU: FLOPs that training "
        "needs, without recomputation, over what the device could do in the reference and training "
        "phases; HFU: FLOPs that ran (Chowdhery et al. 2022, appendix B). Both are shares of one peak, the "
        f"same for all arms: {in_words(peaks, map(dtype_of, view.trained_stages))}."
    )
    if disturbed := disturbances(view):
        note += (
            f" The peak is too low and both shares too high: while it was measured, {'; '.join(disturbed)}."
        )
    return note


def step_seconds(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """Seconds of each logged step, by the running clock of the training rows and probes."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for row in rows:
        now = row["metrics"].get("elapsed_seconds")
        if now is not None:
            first.setdefault(row["step"], now)
            last[row["step"]] = now
    return [first[step] - last[step - 1] for step in sorted(first) if step - 1 in last]


def _speed(stage: StageResult, times: StepTimes | None) -> tuple[Cell, ...]:
    source = (stage.digest,)
    if times is None:
        return tuple(Cell(None, reason="steps were not timed") for _ in range(7))
    real, computed = measured_value(stage, TOKENS), measured_value(stage, TOKENS_PADDED)
    steps = measured_value(stage, STEPS)
    rate = real / steps / times.median if real and steps else None
    share = computed / real if rate and real and computed else None
    padding = None if share is None or share < 1 else 1 - 1 / share
    unknown = "tokens were not counted" if share is None else "prompts were computed once for two answers"
    return (
        Cell(times.warm_up, "count", sources=source),
        *(Cell(t, "seconds", sources=source) for t in (times.median, times.p10, times.p90)),
        Cell(rate, "count", reason="tokens were not counted", sources=source),
        Cell(padding, "percent", digits=0, reason=unknown, sources=source),
        Cell(share, "percent", digits=0, reason="tokens were not counted", sources=source),
    )


def _used(stage: StageResult, peak: DevicePeak) -> tuple[Cell, Cell]:
    """MFU and HFU of the phases that compute."""
    useful, ran = measured_value(stage, USEFUL_FLOPS), measured_value(stage, FLOPS)
    seconds = sum(measured_value(stage, phase) or 0.0 for phase in (REFERENCE_SECONDS, TRAIN_SECONDS))
    if not peak.flops_per_second or not useful or not ran:
        formula = stage.measured(USEFUL_FLOPS.name)
        reason = (formula.reason if formula else None) or peak.reason or "FLOPs were not counted"
        return Cell(None, "percent", reason=reason), Cell(None, "percent", reason=reason)
    # Ranks on a CPU share the cores whose peak it is.
    devices = devices_of(stage) if stage.environment.device in HAS_VRAM else 1
    known = Peak(peak.flops_per_second * devices, str(peak.source))
    mfu, hfu = (
        Cell(share, "percent", digits=1, sources=(stage.digest,))
        for share in utilisation(useful, ran, seconds, known)
    )
    return mfu, hfu


def spoilt(view: ComparisonView) -> list[str]:
    """One line for each training stage whose time something spoilt."""
    return [f"{stage.name}: {'; '.join(stage.notes)}" for stage in view.trained_stages if stage.notes]


def unreliable(views: Sequence[ComparisonView]) -> list[str]:
    """That times are not to be relied on, where something disturbed stages."""
    disturbed = sum(len(spoilt(view)) for view in views)
    stages = sum(len(view.trained_stages) for view in views)
    said = f"Times are unreliable: {disturbed} of {stages} training stages were disturbed."
    return [said] if disturbed else []
