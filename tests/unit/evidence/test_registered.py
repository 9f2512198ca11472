"""No table, macro or file says more than the registered, adjusted answers allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from synthetic import make_view

from harness import registry
from harness.evidence.contrasts import all_contrasts
from harness.evidence.documents.comparison import build_report
from harness.evidence.findings import findings
from harness.evidence.registered import family_size, reconciled
from harness.evidence.statistics.verdict import Outcome, Verdict
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Report

ACCURACY = "preference.accuracy"
WORSE_ALONE = {"orpo": (0.70, 0.68, 0.69), "sft_dpo": (0.76, 0.77, 0.745), "sft": (0.5, 0.5, 0.51)}
"""At three seeds worse with p near 0.01, which a family of 30 does not bear."""


def asked(a: str = "orpo", b: str = "sft_dpo", quantity: str = ACCURACY) -> dict[str, Any]:
    return {"quantity": quantity, "a": a, "b": b, "margin": None}


def view_with(*questions: dict[str, Any]) -> ComparisonView:
    view = make_view(seeds=(0, 1, 2), questions=list(questions))
    items = {
        f"{arm}@{seed}": {ACCURACY: {f"i{i}": mean + 0.001 * i for i in range(20)}}
        for arm, means in WORSE_ALONE.items()
        for seed, mean in enumerate(means)
    }
    return replace(view, items=items)


FAMILY = [asked(), *[asked("orpo", "sft", "rubric.grade")] * 30]


def evidence_row(report: Report, a: str, b: str) -> dict[str, Cell]:
    table = next(table for table in report.tables() if table.name == "evidence")
    rows = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    return next(
        r for r in rows if (r["quantity"].value, r["arm"].value, r["rival"].value) == (ACCURACY, a, b)
    )


def test_alone_a_registered_difference_is_told_plainly_and_bold() -> None:
    row = evidence_row(build_report(view_with(asked())), "orpo", "sft_dpo")
    assert (row["verdict"].value, row["effect"].bold) == ("worse", True)


def test_what_the_family_does_not_bear_says_so_and_is_not_bold() -> None:
    report = build_report(view_with(*FAMILY))
    row = evidence_row(report, "orpo", "sft_dpo")
    text = str(row["verdict"].value)
    assert text.startswith("worse, unadjusted; adjusted over 31 questions: not separable at n = 3")
    assert not row["effect"].bold
    # The arm is best of all three by unadjusted tests; the registered answer takes the bold away.
    scores = next(table for table in report.tables() if table.name == "scores")
    assert [cell.bold for cell in scores.rows[0][3:6]] == [False, False, False]
    alone = next(t for t in build_report(view_with(asked())).tables() if t.name == "scores")
    assert [cell.bold for cell in alone.rows[0][3:6]] == [False, True, False]


def test_a_question_from_the_other_side_is_named_with_its_arms() -> None:
    turned = [asked("sft_dpo", "orpo"), *FAMILY[1:]]
    row = evidence_row(build_report(view_with(*turned)), "orpo", "sft_dpo")
    assert "adjusted over 31 questions of sft_dpo against orpo: not separable" in str(row["verdict"].value)
    assert not row["effect"].bold
    agreeing = evidence_row(build_report(view_with(asked("sft_dpo", "orpo"))), "orpo", "sft_dpo")
    assert agreeing["verdict"].value == "worse"


def test_contrasts_that_no_question_is_about_stay_as_they_are() -> None:
    view = view_with(*FAMILY)
    before = {(one.quantity, one.a, one.b): one.verdict.outcome for one in all_contrasts(view)}
    after = {(one.quantity, one.a, one.b): one.verdict.outcome for one in findings(view).contrasts}
    changed = [key for key, outcome in after.items() if outcome != before[key]]
    assert changed == [(ACCURACY, "orpo", "sft_dpo")]
    assert before[ACCURACY, "orpo", "sft_dpo"] == "worse"


def test_counted_costs_are_not_counted_among_the_tested() -> None:
    view = view_with(asked(), asked(quantity="cost.flops"), asked(quantity="cost.wall_seconds"))
    assert family_size(findings(view).answers) == 2


def test_json_says_what_the_tables_say() -> None:
    report = build_report(view_with(*FAMILY))
    data: Any = report.data
    one = next(
        e for e in data["evidence"] if (e["quantity"], e["a"], e["b"]) == (ACCURACY, "orpo", "sft_dpo")
    )
    assert one["verdict"] == evidence_row(report, "orpo", "sft_dpo")["verdict"].value
    assert one["outcome"] == "not separable"
    answers = next(table for table in report.tables() if table.name == "questions")
    assert [row[7].value for row in answers.rows] == [q["verdict"] for q in data["questions"]]


def test_no_format_shows_the_lost_difference_in_bold(tmp_path: Path) -> None:
    report = build_report(view_with(*FAMILY))
    for name in ("markdown", "html", "latex"):
        registry.load("formats", name).render(report, tmp_path)
    value = "-6.83 points"
    for file in (tmp_path / "report.md", tmp_path / "report.html"):
        text = file.read_text()
        assert value in text
        assert f"**{value}" not in text
        assert f"<strong>{value}" not in text
    tex = (tmp_path / "tables" / "evidence.tex").read_text()
    assert r"\textminus{}6.83~points" in tex
    assert r"\textbf{\qty{-6.83}" not in tex


def test_not_worse_says_nothing_from_the_other_side() -> None:
    view = view_with(asked())
    one = next(c for c in all_contrasts(view) if (c.quantity, c.a, c.b) == (ACCURACY, "orpo", "sft_dpo"))
    (answer,) = findings(view).answers
    lenient = replace(answer, a="sft_dpo", b="orpo", verdict=Verdict(Outcome.NOT_WORSE, "not worse"))
    assert reconciled(one, [lenient]).verdict.outcome == Outcome.NOT_SEPARABLE
