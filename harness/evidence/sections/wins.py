"""Wins, ties and losses: what every win rate is made of."""

from __future__ import annotations

from harness.evidence.cells import item_cells, score_cell
from harness.evidence.view import ComparisonView
from harness.evidence.wins import wins_of
from harness.quantities import is_win_rate
from harness.tables import Cell, Table


def wins_table(view: ComparisonView) -> Table | None:
    """One row a win rate of an arm; None where no answers were held against a rival's."""
    rated = [metric for metric in view.metrics() if is_win_rate(metric)]
    candidates = (_row(view, arm, metric) for metric in rated for arm in view.arms)
    rows = tuple(row for row in candidates if row is not None)
    if not rows:
        return None
    columns = (
        "metric",
        "arm",
        "rival",
        "items",
        "seeds",
        "judged",
        "won",
        "tied",
        "lost",
        "win rate",
        "missing",
    )
    note = (
        "Counts over items and seeds. Tied: neither answer was preferred, or the two orders of a pair "
        "disagree; ties count half. Soft preferences lie between 0 and 1: won, tied and lost are those "
        "above, at and below one half, and the win rate is the mean preference."
    )
    return Table("wins", "Wins, ties and losses", columns, rows, (note,))


def _row(view: ComparisonView, arm: str, metric: str) -> tuple[Cell, ...] | None:
    counts = wins_of(view, arm, metric)
    if counts is None:
        return None
    sources = view.score_sources(arm, metric)
    items, missing = item_cells(view, metric)
    return (
        Cell(metric),
        Cell(arm),
        Cell(view.rival_of(metric) or "not recorded"),
        items,
        *(
            Cell(count, "count", sources=sources)
            for count in (counts.seeds, counts.judged, counts.won, counts.tied, counts.lost)
        ),
        score_cell(view, arm, metric),
        missing,
    )
