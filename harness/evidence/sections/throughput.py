"""How fast steps went, how much of the device they used, and what may have spoilt the figures."""

from __future__ import annotations

from typing import Any

from harness.evidence.view import ComparisonView
from harness.measure.steps import StepTimes, step_times
from harness.measure.utilisation import Peak, utilisation
from harness.records import DevicePeak, RehearseFacts, StageResult
from harness.tables import Cell, Table


def throughput_table(view: ComparisonView) -> Table:
    """One row a training stage: steps without their warm-up, and MFU and HFU."""
    rows, peaks = [], {}
    for stage in _trained(view):
        times = step_times(step_seconds(view.series.get(stage.digest, [])))
        rehearsal = view.rehearsal_of(stage.digest)
        peak = rehearsal.facts_as(RehearseFacts).peak if rehearsal else None
        if peak and peak.source:
            peaks[peak.source] = peak.flops_per_second or 0.0
        rows.append((Cell(stage.name, sources=(stage.digest,)), *_speed(stage, times), *_used(stage, peak)))
    columns = (
        "stage",
        "steps",
        "warm-up",
        "median step",
        "10%",
        "90%",
        "real tokens/s",
        "padding",
        "MFU",
        "HFU",
    )
    against = "; ".join(f"{rate / 1e12:.3g} TFLOP/s ({source})" for source, rate in peaks.items())
    note = (
        "Warm-up: first steps that take over 1.25 medians of the later half and lie beyond its spread; "
        "step times and tokens per second leave them out, totals never do. MFU: FLOPs that training "
        "needs, without recomputation, over what the device could do in the reference and training "
        "phases; HFU: FLOPs that ran (Chowdhery et al. 2022, appendix B). Peak: "
        f"{against or 'none known for this device and dtype'}."
    )
    return Table("throughput", "Steps and utilisation", columns, tuple(rows), (note,))


def step_seconds(rows: list[dict[str, Any]]) -> list[float]:
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
    real, padded = stage.measured("tokens_real"), stage.measured("tokens_padded")
    steps = stage.measured("steps")
    rate, padding = None, None
    if real and real.value and steps and steps.value:
        rate = real.value / steps.value / times.median
        padding = 1 - real.value / padded.value if padded and padded.value else None
    return (
        Cell(times.n, "count", sources=source),
        Cell(times.warm_up, "count", sources=source),
        *(Cell(t, "seconds", sources=source) for t in (times.median, times.p10, times.p90)),
        Cell(rate, "count", reason="tokens were not counted", sources=source),
        Cell(padding, "percent", digits=0, reason="tokens were not counted", sources=source),
    )


def _used(stage: StageResult, peak: DevicePeak | None) -> tuple[Cell, Cell]:
    """MFU and HFU of the phases that compute."""
    useful, ran = stage.measured("useful_flops"), stage.measured("flops")
    phases = [stage.measured(f"{phase}_seconds") for phase in ("reference", "train")]
    seconds = sum(m.value for m in phases if m and m.value)
    if not peak or not peak.flops_per_second or not useful or not useful.value or not ran or not ran.value:
        reason = (peak.reason if peak else None) or "no peak rate of this device is known"
        return Cell(None, "percent", reason=reason), Cell(None, "percent", reason=reason)
    known = Peak(peak.flops_per_second, str(peak.source))
    shares = utilisation(float(useful.value), float(ran.value), seconds, known)
    first, second = (Cell(share, "percent", digits=1, sources=(stage.digest,)) for share in shares)
    return first, second


def conditions_table(view: ComparisonView) -> Table:
    """One row a training stage: what else ran, and the sentences that spoil its figures."""
    shares = ("cpu_steal_share", "other_cpu_share", "throttled_share")
    rows = []
    for stage in _trained(view):
        source = (stage.digest,)
        cells = []
        for name in shares:
            found = stage.measured(name)
            reason = found.reason if found else "not recorded"
            cells.append(Cell(found.value if found else None, "percent", reason=reason, sources=source))
        swapped, sampler = stage.measured("swapped_bytes"), stage.measured("sampler_cpu_seconds")
        cells.append(Cell(swapped.value if swapped else None, "bytes", reason="not recorded", sources=source))
        cells.append(Cell(sampler.value if sampler else None, "seconds", reason="not recorded"))
        rows.append((Cell(stage.name, sources=source), *cells, Cell("; ".join(stage.notes) or "nothing")))
    columns = (
        "stage",
        "CPU stolen",
        "other processes",
        "throttled",
        "swapped",
        "sampler's CPU",
        "spoils time and energy",
    )
    note = (
        "Shares of all cores' time, or of a GPU's samples. Named as spoiling: over 2% stolen, 10% other "
        "processes, 5% throttled, any swapping, a moving clock or power limit, other work on the GPU."
    )
    return Table("conditions", "The machine while it measured", columns, tuple(rows), (note,))


def spoilt(view: ComparisonView) -> list[str]:
    """One line for each training stage whose time something spoilt."""
    return [f"{stage.name}: {'; '.join(stage.notes)}" for stage in _trained(view) if stage.notes]


def _trained(view: ComparisonView) -> list[StageResult]:
    results = view.record.results
    return [results[d] for d in view.record.plan.order if d in results and results[d].kind == "train"]
