"""Answering and scoring: what they took, a row a cell; no arm is charged for it."""

from __future__ import annotations

from harness.evidence.cells import stage_cell
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.quantities import SCORING
from harness.records import EvaluateFacts
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section | None:
    """None where no scoring stage measured itself."""
    table = scoring_table(findings.view)
    return Section("Answering and scoring", (), (table,)) if table.rows else None


def scoring_table(view: ComparisonView) -> Table:
    """One row a scoring stage that counted its FLOPs."""
    columns = ("cell", "answers", *(quantity.title for quantity in SCORING))
    rows = []
    for digest in view.record.plan.order:
        stage = view.record.results.get(digest)
        if stage is None or stage.kind != "evaluate" or stage.measured(SCORING[-1].name) is None:
            continue
        answers = Cell(stage.facts_as(EvaluateFacts).answers, "count", reason="not recorded")
        figures = (stage_cell(stage, quantity) for quantity in SCORING)
        rows.append((Cell(stage.name, sources=(digest,)), answers, *figures))
    note = "FLOPs of these forward passes by formula over what hooks saw; part of no arm's cost."
    return Table("scoring", "What answering and scoring took", columns, tuple(rows), (note,))
