"""Cells that were asked for and are in no figure: why, and what those that finished scored."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.cells import score_format
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.records import MissingCell
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section | None:
    """None where every stage that was planned has a result."""
    view = findings.view
    if not view.record.failed:
        return None
    tables = (failed_table(view), uncompared_table(view))
    return Section("What failed", (), tuple(table for table in tables if table.rows))


def failed_table(view: ComparisonView) -> Table:
    """One row a stage that ended without a result."""
    rows = tuple((Cell(one.name), Cell(one.cause), Cell(one.log)) for one in view.record.failed)
    note = (
        "Logs are relative to the run root. The same command, without --again, tries these stages again and "
        "reuses the rest."
    )
    return Table("failed", "Stages that failed", ("stage", "why", "log"), rows, (note,))


def uncompared_table(view: ComparisonView) -> Table:
    """One row a metric of a finished cell, one row a cell that has none."""
    rows = [row for cell in view.record.missing for row in _rows(view, cell)]
    columns = ("arm", "seed", "repeat", "why it is in no figure", "metric", "score")
    note = (
        "Arms are compared at seeds at which all of them finished. Scores here have no part in any verdict."
    )
    return Table("uncompared", "Cells that are not compared", columns, tuple(rows), (note,))


def _rows(view: ComparisonView, cell: MissingCell) -> Iterator[tuple[Cell, ...]]:
    who = (Cell(cell.arm), Cell(cell.seed), Cell(cell.repeat), Cell(cell.why))
    result = view.record.results.get(cell.evaluate or "")
    scores = result.scores if result is not None and cell.finished and not cell.repeat else []
    if not scores:
        yield (*who, Cell("-"), Cell(None, reason="none was taken"))
    for score in scores:
        name = f"{score.benchmark}.{score.metric}"
        kind, digits = score_format(name)
        sources = (cell.evaluate or "",)
        yield (
            *who,
            Cell(name),
            Cell(score.estimate, kind, digits=digits, reason=score.reason, sources=sources),
        )
