"""One peak rate for all arms: by the figures of a report that had two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view, measured

from harness.evidence.peaks import device_peaks
from harness.evidence.sections.throughput import throughput_table
from harness.evidence.view import ComparisonView
from harness.measure.utilisation import compute_dtype
from harness.records import (
    CheckFacts,
    DevicePeak,
    MatmulRate,
    RehearseFacts,
    StageResult,
    TrainFacts,
)

# Of a report of the embedded comparison: DPO's rehearsal found a peak of 0.182 TFLOP/s and ORPO's, on
# the same CPU, 0.0968. The report gave 20.8% and 45.6%.
USEFUL = {"dpo": 426.6e9, "orpo": 320.0e9}
SECONDS = {"dpo": 11.3, "orpo": 7.25}
REHEARSED = {"sft": 0.1815e12, "dpo": 0.1815e12, "orpo": 0.0968e12}


def changed(view: ComparisonView, **results: StageResult) -> ComparisonView:
    merged = {**view.record.results, **results}
    return replace(view, record=view.record.model_copy(update={"results": merged}))


def of_the_report(dtype: str | None = "float32", precision: str | None = None) -> ComparisonView:
    view = make_view(seeds=(0,), full=True)
    results = {}
    for name in ("sft", "dpo", "orpo"):
        trained, rehearsed = view.record.results[f"{name}0"], view.record.results[f"re-{name}"]
        if name in USEFUL:
            figures = {
                "useful_flops": measured("useful_flops", USEFUL[name], "FLOP"),
                "flops": measured("flops", USEFUL[name], "FLOP"),
                "train_seconds": measured("train_seconds", SECONDS[name], "s"),
            }
            ledger = [figures.get(m.quantity, m) for m in trained.ledger]
            trained = trained.model_copy(update={"ledger": ledger})
        facts = trained.facts_as(TrainFacts).model_copy(update={"dtype": dtype, "precision": precision})
        results[f"{name}0"] = trained.model_copy(update={"facts": facts})
        peak = DevicePeak(flops_per_second=REHEARSED[name], source="measured GEMM 1024, float32", reason=None)
        found = rehearsed.facts_as(RehearseFacts).model_copy(update={"peak": peak})
        results[f"re-{name}"] = rehearsed.model_copy(update={"facts": found})
    return changed(view, **results)


def with_checked(
    view: ComparisonView, peaks: dict[str, DevicePeak], notes: tuple[str, ...] = ()
) -> ComparisonView:
    """The view with a check stage that measured `peaks`."""
    prepared = view.record.results["prep"]
    update = {"kind": "check", "facts": CheckFacts(peaks=peaks), "notes": list(notes)}
    check = prepared.model_copy(update=update)
    view = changed(view, check=check)
    plan = view.record.plan.model_copy(update={"check": "check"})
    return replace(view, record=view.record.model_copy(update={"plan": plan}))


def mfu(view: ComparisonView) -> dict[str, Any]:
    table = throughput_table(view)
    column = table.columns.index("MFU")
    return {str(row[0].value).split("/")[-1].split("@")[0]: row[column].value for row in table.rows}


RATE = MatmulRate(highest=2e11, median=1.9e11, lowest=1.6e11, repeats=5, source="GEMM 1024, float32")
FLOAT32 = DevicePeak(flops_per_second=2e11, source="measured", reason=None, measured=RATE)
BFLOAT16 = DevicePeak(flops_per_second=4e11, source="measured", reason=None, measured=RATE)


def test_two_rehearsals_that_found_two_peaks_give_one_for_all_arms() -> None:
    shares = mfu(of_the_report())
    assert shares["dpo"] == pytest.approx(0.208, abs=5e-4)
    assert shares["orpo"] / shares["dpo"] == pytest.approx(
        USEFUL["orpo"] / SECONDS["orpo"] / (USEFUL["dpo"] / SECONDS["dpo"])
    )
    assert shares["orpo"] == pytest.approx(0.243, abs=5e-4)


def test_an_old_record_says_where_its_one_peak_comes_from() -> None:
    note = throughput_table(of_the_report()).notes[0]
    assert "highest of the rehearsals" in note
    assert "0.0968" in note


def test_the_peak_of_the_check_stage_stands_for_every_arm() -> None:
    view = with_checked(of_the_report(), {"float32": FLOAT32, "bfloat16": BFLOAT16})
    shares = mfu(view)
    assert shares["orpo"] == pytest.approx(USEFUL["orpo"] / SECONDS["orpo"] / 2e11)
    assert shares["dpo"] == pytest.approx(USEFUL["dpo"] / SECONDS["dpo"] / 2e11)
    note = throughput_table(view).notes[0]
    assert "0.2 TFLOP/s in float32" in note
    assert "0.16 to 0.2 in 5 repeats" in note
    assert "bfloat16" not in note


def test_a_peak_that_was_measured_beside_other_work_says_so() -> None:
    busy = "other processes used 70.0% of the CPU time"
    quiet, loud = (with_checked(of_the_report(), {"float32": FLOAT32}, notes) for notes in ((), (busy,)))
    assert "too high" not in throughput_table(quiet).notes[0]
    assert f"both shares too high: while it was measured, {busy}" in throughput_table(loud).notes[0]


def test_mixed_precision_is_a_share_of_what_the_device_does_in_bfloat16() -> None:
    view = with_checked(of_the_report(precision="mixed"), {"float32": FLOAT32, "bfloat16": BFLOAT16})
    assert mfu(view)["orpo"] == pytest.approx(USEFUL["orpo"] / SECONDS["orpo"] / 4e11)


def test_a_data_sheets_peak_stands_beside_what_was_measured() -> None:
    sheet = DevicePeak(flops_per_second=1e15, source="NVIDIA data sheet of H100", reason=None, measured=RATE)
    note = throughput_table(with_checked(of_the_report(), {"float32": sheet})).notes[0]
    assert "1e+03 TFLOP/s in float32 (NVIDIA data sheet of H100)" in note
    assert "products measured here reached 0.2" in note


def test_other_work_changes_no_data_sheet() -> None:
    sheet = DevicePeak(flops_per_second=1e15, source="NVIDIA data sheet", reason=None, measured=RATE)
    view = with_checked(of_the_report(), {"float32": sheet}, ("the GPU was throttled",))
    assert "too high" not in throughput_table(view).notes[0]


def test_a_dtype_that_nobody_measured_has_no_share_and_a_reason() -> None:
    view = with_checked(of_the_report(precision="bfloat16"), {"float32": FLOAT32})
    assert mfu(view)["orpo"] is None
    table = throughput_table(view)
    reasons = {str(row[0].value): row[table.columns.index("HFU")].reason for row in table.rows}
    assert reasons["orpo/orpo@0"] == "no peak of this device in bfloat16 is known"


@pytest.mark.parametrize(
    ("precision", "dtype", "computes_in"),
    [
        ("mixed", "float32", "bfloat16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16_stochastic", "bfloat16", "bfloat16"),
        ("float32", "float32", "float32"),
        (None, "float32", "float32"),
        (None, "bfloat16", "bfloat16"),
        (None, None, None),
    ],
)
def test_what_a_stage_computes_in(precision: str | None, dtype: str | None, computes_in: str | None) -> None:
    assert compute_dtype(TrainFacts(precision=precision, dtype=dtype)) == computes_in


def test_a_record_without_any_peak_has_none() -> None:
    assert device_peaks(make_view()) == {}
