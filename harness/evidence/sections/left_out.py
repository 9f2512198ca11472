"""Metrics of which no items could be kept: the benchmark's own figure, and why it stands without evidence."""

from __future__ import annotations

from harness.evidence.cells import score_format
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table


def left_out_table(view: ComparisonView) -> Table | None:
    """One row a cell and metric; None where every metric kept its items."""
    rows = []
    for (cell, name), (digest, score) in view.written.items():
        if score.metric in score.settings.get("left_out", ()):
            kind, digits = score_format(name)
            figure = Cell(score.estimate, kind, digits=digits, reason=score.reason, sources=(digest,))
            rows.append((Cell(cell), Cell(name), figure, Cell(score.n, "count"), Cell(score.reason or "")))
    if not rows:
        return None
    columns = ("cell", "metric", "the benchmark's figure", "documents", "why")
    note = "Arms cannot be compared item by item on these metrics, so they have no interval and no verdict."
    return Table("left_out", "Metrics without items", columns, tuple(rows), (note,))
