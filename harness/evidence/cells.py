"""An estimate as a table's cell."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.statistics.estimate import Estimate
from harness.tables import Cell, CellKind


def estimate_cell(
    estimate: Estimate, sources: Sequence[str], kind: CellKind = "number", digits: int = 3
) -> Cell:
    """The value with its interval, or why there is none."""
    return Cell(
        estimate.value,
        kind,
        estimate.low,
        estimate.high,
        digits,
        reason=estimate.reason,
        sources=tuple(sources),
    )
