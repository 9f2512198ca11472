"""Judged by people: their win rate, how they voted, and how far other judges of the run agree with them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import estimate_cell
from harness.evidence.findings import Findings
from harness.evidence.people import HUMAN, Beside, People, standing, voted
from harness.evidence.statistics.estimate import Estimate
from harness.tables import Cell, Section, Table

TITLE = "Judged by people"


def section(findings: Findings) -> Section | None:
    """Tables of what people voted in `harness arena`; None where nobody did."""
    view = findings.view
    if not view.votes:
        return None
    people, stale = voted(view), len(view.votes) - len(standing(view))
    told = (
        (f"{stale} vote(s) are on answers of models that were trained again since, and are left out.",)
        if stale
        else ()
    )
    if not people:
        return Section(TITLE, told)
    tables = [_rates(people), _voting(people), _agreement(people)]
    return Section(TITLE, told, tuple(table for table in tables if table.rows), teaser=TITLE.lower())


def _rates(people: Sequence[People]) -> Table:
    columns = ("judge", "metric", "arm", "rival", "pairs", "win rate")
    rows = []
    for one in people:
        rows.append(_rate_row(HUMAN, f"{HUMAN}.win_rate", one, one.pairs, one.win_rate, ()))
        rows += [
            _rate_row(other.judge, other.metric, one, other.pairs, other.win_rate, other.sources)
            for other in one.beside
        ]
    notes = (
        "People compared two answers at a time, blind and in random order. Other judges' rates are over "
        "those pairs alone that people judged too, so they are not those of the table of scores. Ties count "
        "half; of grades the higher one wins. Equal answers are shown to nobody. 95% intervals about the "
        "population of prompts, at these seeds and for these voters; pairs of one prompt count as one.",
        "None of it was registered before the run: votes came later.",
    )
    return Table("people", TITLE, columns, tuple(rows), notes)


def _rate_row(
    judge: str, metric: str, one: People, pairs: int, rate: Estimate, sources: tuple[str, ...]
) -> tuple[Cell, ...]:
    return (
        Cell(judge),
        Cell(metric),
        Cell(one.a),
        Cell(one.b),
        Cell(pairs, "count", sources=sources),
        estimate_cell(rate, sources, "percent", digits=1),
    )


def _voting(people: Sequence[People]) -> Table:
    columns = (
        "arm",
        "rival",
        "voters",
        "votes",
        "ties",
        "skipped",
        "prompts",
        "of the test split",
        "took the left",
        "shown again",
        "same answer again",
        "median time",
    )
    note = (
        "Took the left: share of decided votes, those on pairs shown again included; 50% is no leaning. Same "
        "answer again: about a tenth of the pairs is shown to the same voter once more with sides swapped; "
        "these second votes count nowhere else. Median time: from when a pair was shown until the vote."
    )
    rows = tuple(
        (
            Cell(one.a),
            Cell(one.b),
            Cell(", ".join(one.voters)),
            Cell(one.votes, "count"),
            Cell(one.ties, "count"),
            Cell(one.skipped, "count"),
            Cell(one.prompts, "count"),
            Cell(one.test, "count"),
            estimate_cell(one.left, (), "percent", digits=1),
            Cell(one.shown_again, "count"),
            estimate_cell(one.itself, (), "percent", digits=1),
            Cell(one.seconds, "seconds", reason="nobody decided"),
        )
        for one in people
    )
    return Table("people_votes", "How people voted", columns, rows, (note,))


def _agreement(people: Sequence[People]) -> Table:
    columns = ("judge", "metric", "arm", "rival", "pairs", "same side", "alpha")
    note = (
        "Of the pairs that people and this judge both judged: on how many both take one side, a tie being a "
        "side, and Krippendorff's alpha for interval data (1 is full agreement, 0 what chance gives). 95% "
        "intervals by a bootstrap over prompts, from 20 prompts on; their coverage was not simulated."
    )
    rows = tuple(_agreement_row(one, other) for one in people for other in one.beside)
    return Table("people_agreement", "Do other judges agree with people?", columns, rows, (note,))


def _agreement_row(one: People, other: Beside) -> tuple[Cell, ...]:
    return (
        Cell(other.judge),
        Cell(other.metric),
        Cell(one.a),
        Cell(one.b),
        Cell(other.pairs, "count", sources=other.sources),
        estimate_cell(other.agreement.same, other.sources, "percent", digits=1),
        estimate_cell(other.agreement.alpha, other.sources, digits=2),
    )
