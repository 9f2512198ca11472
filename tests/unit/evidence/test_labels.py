"""What an allowed inequality does to the figures that it touches."""

from __future__ import annotations

from dataclasses import replace

from synthetic import make_view

from harness.evidence.contrasts import all_contrasts
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.findings import findings
from harness.evidence.labels import notes, unequal
from harness.evidence.sections import quality, results
from harness.evidence.view import ComparisonView
from harness.records import ParityCheck

DTYPE = ParityCheck(
    check="dtype", equal=False, allowed=True, detail="bfloat16 and float32", touches=["wall_seconds", "flops"]
)
SOURCE = ParityCheck(check="sft_source", equal=False, allowed=True, detail="external", touches=["scores"])


def view_with(*checks: ParityCheck) -> ComparisonView:
    view = make_view()
    return replace(view, record=view.record.model_copy(update={"parity": list(checks)}))


def test_touched_figures_carry_a_mark_and_the_note_says_why() -> None:
    table = results.main_table(view_with(DTYPE))
    assert "training time †" in table.columns
    assert "FLOPs †" in table.columns
    assert not any(c.endswith("†") for c in table.columns if "memory" in c or c == "win rate")
    assert any("dtype (bfloat16 and float32)" in note for note in table.notes)


def test_without_inequalities_nothing_is_marked() -> None:
    table = results.main_table(view_with(DTYPE.model_copy(update={"equal": True, "allowed": False})))
    assert not any("†" in column for column in table.columns)
    assert notes(view_with(), "flops") == ()


def test_scores_are_touched_as_one_and_costs_are_not() -> None:
    view = view_with(SOURCE)
    assert [c.check for c in unequal(view, view.metrics()[0])] == ["sft_source"]
    assert unequal(view, "cost.flops") == unequal(view, "flops") == []
    evidence = all_contrasts(view)
    data = comparison_data(findings(view))
    by_kind = {e["quantity"]: e["unequal"] for e in data["evidence"]}
    assert by_kind["cost.flops"] == []
    assert by_kind[view.metrics()[0]] == ["sft_source"]
    rows = [row[0].value for table in quality.contrasts_tables(view, evidence) for row in table.rows]
    assert "cost.flops" in rows
    assert f"{view.metrics()[0]} †" in rows
