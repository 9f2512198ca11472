"""The rate that utilisation is a share of: one for each dtype, the same for all arms."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from harness.evidence.view import ComparisonView
from harness.measure.utilisation import compute_dtype
from harness.records import CheckFacts, DevicePeak, MatmulRate, RehearseFacts, StageResult, TrainFacts

OF_REHEARSALS = "the highest of the rehearsals'"
Peaks = dict[str, DevicePeak]
"""By the dtype that a stage computes in; some old records name none, and their key is empty."""


def device_peaks(view: ComparisonView) -> Peaks:
    """What the check stage found; of older records the highest that a rehearsal measured."""
    check = view.record.results.get(view.record.plan.check or "")
    peaks = check.facts_as(CheckFacts).peaks if check is not None else {}
    return peaks or _of_rehearsals(view)


def measured_on(view: ComparisonView) -> str | None:
    """The kind of device that the check stage found a peak of; None in older records."""
    check = view.record.results.get(view.record.plan.check or "")
    found = check is not None and check.facts_as(CheckFacts).peaks
    return check.environment.kind_of_device if check is not None and found else None


def disturbances(view: ComparisonView) -> list[str]:
    """What slowed products down while the check stage measured a peak by them: shares are then too high."""
    check = view.record.results.get(view.record.plan.check or "")
    peaks = check.facts_as(CheckFacts).peaks.values() if check is not None else ()
    return check.notes if check is not None and any(map(_is_measured, peaks)) else []


def _is_measured(peak: DevicePeak) -> bool:
    return peak.measured is not None and peak.measured.highest == peak.flops_per_second


def dtype_of(stage: StageResult) -> str:
    """The key of a training stage's peak."""
    return compute_dtype(stage.facts_as(TrainFacts)) or ""


def _of_rehearsals(view: ComparisonView) -> Peaks:
    """Each rehearsal measured its own, at moments of more and of less other work on the machine."""
    by_dtype: dict[str, dict[str, DevicePeak]] = {}
    for stage in view.trained_stages:
        rehearsal = view.rehearsal_of(stage.digest)
        peak = rehearsal.facts_as(RehearseFacts).peak if rehearsal else None
        if rehearsal is not None and peak is not None:
            by_dtype.setdefault(dtype_of(stage), {})[rehearsal.digest] = peak
    return {dtype: _highest(list(peaks.values())) for dtype, peaks in by_dtype.items()}


def _highest(peaks: list[DevicePeak]) -> DevicePeak:
    rates = [peak.flops_per_second for peak in peaks if peak.flops_per_second is not None]
    if not rates:
        return peaks[0]
    best = max(peaks, key=lambda peak: peak.flops_per_second or 0.0)
    if min(rates) == max(rates):
        return best
    spread = MatmulRate(
        highest=max(rates),
        median=statistics.median(rates),
        lowest=min(rates),
        repeats=len(rates),
        source=str(best.source),
    )
    return best.model_copy(update={"source": f"{best.source}, {OF_REHEARSALS}", "measured": spread})


def peak_of(peaks: Peaks, stage: StageResult, measured_on: str | None = None) -> DevicePeak:
    """The peak for a training stage, or why there is none: what is known may be of another kind of device."""
    if measured_on not in (None, stage.environment.kind_of_device):
        reason = f"the peak that is known is of {measured_on}"
        return DevicePeak(flops_per_second=None, source=None, reason=reason)
    dtype = dtype_of(stage)
    missing = f"no peak of this device{f' in {dtype}' if dtype else ''} is known"
    return peaks.get(dtype) or DevicePeak(flops_per_second=None, source=None, reason=missing)


def in_words(peaks: Peaks, used: Iterable[str]) -> str:
    """The peaks that were used, with their spread: `0.18 TFLOP/s in float32 (...)`."""
    known = [(dtype, peaks[dtype]) for dtype in dict.fromkeys(used) if dtype in peaks]
    sentences = [_sentence(dtype, peak) for dtype, peak in known if peak.flops_per_second]
    return "; ".join(sentences) or "none known for this device and dtype"


def _sentence(dtype: str, peak: DevicePeak) -> str:
    assert peak.flops_per_second is not None
    text = f"{_tera(peak.flops_per_second)} TFLOP/s{f' in {dtype}' if dtype else ''} ({peak.source})"
    rate = peak.measured
    if rate is None:
        return text
    spread = f"{_tera(rate.lowest)} to {_tera(rate.highest)} in {rate.repeats} repeats"
    if _is_measured(peak):
        return f"{text}, {spread}"
    return f"{text}; products measured here reached {_tera(rate.highest)} ({rate.source}, {spread})"


def _tera(flops_per_second: float) -> str:
    return f"{flops_per_second / 1e12:.3g}"
