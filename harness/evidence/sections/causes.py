"""Where the cost comes from: FLOPs and references, ratios, shared stages, and money."""

from __future__ import annotations

from harness.evidence.findings import Findings
from harness.evidence.sections.attribution import attribution_table
from harness.evidence.sections.flops import flops_table
from harness.evidence.sections.ratios import ratios_table
from harness.evidence.sections.sharing import prices_table, sharing_table
from harness.tables import Section


def section(findings: Findings) -> Section | None:
    """The tables that have something to show; None without any."""
    view, pair = findings.view, findings.primary
    tables = (
        flops_table(view),
        attribution_table(view, pair),
        ratios_table(view, pair),
        sharing_table(view, pair),
        prices_table(view),
    )
    kept = tuple(table for table in tables if table is not None and table.rows)
    return Section("Where the cost comes from", (), kept) if kept else None
