"""A published table of arms beside a run's own figures: two rows an arm, theirs and ours."""

from __future__ import annotations

from dataclasses import replace

from harness.evidence.cells import cost_cell, score_cell
from harness.evidence.sections.categories import gradings
from harness.evidence.sections.results import main_win_rate, relative_cell, rival_words
from harness.evidence.view import ComparisonView
from harness.pipeline.published import PublishedRow, PublishedTable
from harness.quantities import WALL_SECONDS
from harness.tables import Cell, Table

COLUMNS = ("arm", "from", "stages", "device time", "win rate", "helpfulness (1 to 5)", "relative cost")
HOUR = 3600.0
APART = 0.01
"""How far a published relative cost may lie from that of the same table's hours before it is said."""


def beside_table(view: ComparisonView, published: PublishedTable) -> Table:
    """Every arm of either, in the order of the published table; an arm that one of them lacks says so."""
    order = dict.fromkeys([*(row.arm for row in published.rows), *view.arms])
    theirs = {row.arm: row for row in published.rows}
    rows = [row for arm in order for row in (_their_row(theirs.get(arm), arm), _our_row(view, arm))]
    return Table(
        "beside", f"{published.title}, beside this run", COLUMNS, tuple(rows), _notes(view, published)
    )


def _their_row(row: PublishedRow | None, arm: str) -> tuple[Cell, ...]:
    if row is None:
        return (Cell(arm), Cell("published"), *_absent("it has no such arm"))
    seconds = None if row.device_hours is None else row.device_hours * HOUR
    why = "the source does not say"
    return (
        Cell(arm),
        Cell("published"),
        Cell(row.stages, "count", reason=why),
        Cell(seconds, WALL_SECONDS.kind, reason=why),
        Cell(row.win_rate, "percent", digits=1, reason=why),
        Cell(row.helpfulness, "number", digits=2, reason=why),
        Cell(row.relative_cost, "percent", digits=1, reason=why),
    )


def _our_row(view: ComparisonView, arm: str) -> tuple[Cell, ...]:
    if arm not in view.arms:
        return (Cell(arm), Cell("this run"), *_absent("it is not in this comparison"))
    won, graded = main_win_rate(view), gradings(view)
    stages = len(view.cells_of(arm)[0].stages)
    return (
        Cell(arm),
        Cell("this run"),
        Cell(stages, "count"),
        cost_cell(view, arm, WALL_SECONDS),
        score_cell(view, arm, won) if won else Cell(None, reason="no judge compared answers"),
        replace(score_cell(view, arm, f"{graded[0]}.helpfulness"), digits=2)
        if graded
        else Cell(None, reason="MT-Bench, which grades on five points, was not scored"),
        relative_cell(view, arm),
    )


def _absent(reason: str) -> tuple[Cell, ...]:
    return tuple(Cell(None, reason=reason) for _ in COLUMNS[2:])


def _notes(view: ComparisonView, published: PublishedTable) -> tuple[str, ...]:
    won = main_win_rate(view)
    rival = f" Win rate of this run: {won}, against {rival_words(view, won)}, ties count half." if won else ""
    return (
        f"Published: {published.source}.",
        *(f"Of the published figures: {note}." for note in published.notes),
        *_own_hours(published),
        f"This run: {_over_seeds(view)}; relative cost is that of training time, by "
        f"{view.cost_reference}.{rival} It speaks of its own model, data and device, so that rows of one arm "
        "need not agree; none of these was registered as a question.",
    )


def _over_seeds(view: ComparisonView) -> str:
    seeds = len({cell.seed for arm in view.arms for cell in view.cells_of(arm)})
    return "one seed" if seeds == 1 else f"means over {seeds} seeds with 95% intervals"


def _own_hours(published: PublishedTable) -> list[str]:
    """Where the published relative cost does not follow from the hours beside it."""
    found = []
    for row in published.rows:
        own = published.own_relative_cost(row)
        if own is not None and row.relative_cost is not None and abs(own - row.relative_cost) > APART:
            found.append(
                f"Of the published figures: by its own hours {row.arm} costs {own:.0%}, where the table says "
                f"{row.relative_cost:.0%}."
            )
    return found
