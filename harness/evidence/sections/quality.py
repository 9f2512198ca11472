"""Scores: every metric of every arm, every arm against every other, and who judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.evidence.aggregates import aggregate_notes
from harness.evidence.amounts import DETECTABLE
from harness.evidence.cells import base_score_cell, difference_cell, item_cells, score_cell
from harness.evidence.contrasts import Contrast
from harness.evidence.findings import Findings
from harness.evidence.labels import marked
from harness.evidence.labels import notes as label_notes
from harness.evidence.primary import own_score
from harness.evidence.registered import SEPARABLE, is_best
from harness.evidence.sections.by_seed import by_seed_table
from harness.evidence.sections.categories import category_table, gradings, radar_figure
from harness.evidence.sections.dynamics import score_figure
from harness.evidence.sections.judging import judges_table
from harness.evidence.sections.left_out import left_out_table
from harness.evidence.sections.length import length_table
from harness.evidence.sections.ranking import ranking_table, unranked
from harness.evidence.sections.wins import wins_table
from harness.evidence.statistics.estimate import ITEMS_TARGET, POPULATION_TARGET, Estimate
from harness.evidence.view import ComparisonView
from harness.quantities import COST
from harness.tables import Cell, Figure, Section, Table

NOT_MEASURED = "not measured"
ITEMS = (
    "Items: what each cell was asked. Missing: of these, over an arm's seeds, those that could not be read "
    "or scored; they are left out."
)


def section(findings: Findings) -> Section:
    """Tables and figures of all scores; of costs alone where there are none, with the reason."""
    view = findings.view
    if view.random_weights or not view.metrics():
        reason = (
            "Training began from random weights, so scores would mean nothing and are left out."
            if view.random_weights
            else "Nothing was scored."
        )
        costs = [one for one in findings.contrasts if one.quantity.startswith(COST)]
        return Section("Scores", (reason,), contrasts_tables(view, costs))
    return scores(findings)


def scores(findings: Findings) -> Section:
    """Tables and figures of all scores, and why there is no ranking where one could be missed."""
    why = unranked(findings.view)
    return Section("Scores", (why,) if why else (), quality_tables(findings), quality_figures(findings.view))


def quality_tables(findings: Findings) -> tuple[Table, ...]:
    """Scores, arm against arm, seed by seed, and what judges said."""
    view = findings.view
    more = (
        by_seed_table(view),
        wins_table(view),
        *(category_table(view, grading) for grading in gradings(view)),
        length_table(view),
        ranking_table(view),
        judges_table(view),
        left_out_table(view),
    )
    return (
        score_table(view, findings.contrasts),
        *contrasts_tables(view, findings.contrasts),
        *(table for table in more if table is not None),
    )


def quality_figures(view: ComparisonView) -> tuple[Figure, ...]:
    """A score against FLOPs where something was trained, and MT-Bench by category."""
    metric = None if view.replayed else own_score(view)
    against_flops = None if metric is None else score_figure(view, metric)
    figures = (against_flops, *(radar_figure(view, grading) for grading in gradings(view)))
    return tuple(figure for figure in figures if figure is not None and figure.has_series)


def score_table(view: ComparisonView, contrasts: Sequence[Contrast]) -> Table:
    """One row a metric, one column an arm; bold where the arm beats every other one separably."""
    columns = ("benchmark", "metric", "base model", *view.arms, "items", "missing")
    rows = []
    for metric in view.metrics():
        benchmark, _, name = metric.rpartition(".")
        cells = [
            replace(score_cell(view, arm, metric), bold=is_best(arm, view.arms, metric, contrasts))
            for arm in view.arms
        ]
        named = (Cell(benchmark), Cell(marked(view, name, metric)))
        rows.append((*named, base_score_cell(view, metric), *cells, *item_cells(view, metric)))
    note = (
        f"Mean over {len(view.seeds)} seeds with a 95% t interval over seeds: {ITEMS_TARGET}."
        if len(view.seeds) > 1
        else f"One seed: 95% intervals about {POPULATION_TARGET}."
    )
    notes = (
        note,
        f"Bold: separably better than every other arm{_adjusted(view)}.",
        ITEMS,
        *label_notes(view, *view.metrics()),
    )
    return Table("scores", "Scores", columns, tuple(rows), notes)


def _adjusted(view: ComparisonView) -> str:
    return ", by the adjusted answer where a question was registered" if view.questions else ", unadjusted"


def contrasts_tables(view: ComparisonView, contrasts: Sequence[Contrast]) -> tuple[Table, ...]:
    """Every paired estimate of arm against arm: first of the arms that a question was asked about, if any.

    One arm alone has none.
    """
    between = [one for one in contrasts if one.b in view.arms]
    if not between:
        return ()
    asked = {frozenset((one.a, one.b)) for one in view.questions}
    of_asked = [one for one in between if frozenset((one.a, one.b)) in asked]
    others = [one for one in between if frozenset((one.a, one.b)) not in asked]
    if not of_asked:
        return (_contrasts_table(view, "evidence", "Arm against arm", others),)
    first = _contrasts_table(view, "evidence", "Arm against arm", of_asked)
    rest = _contrasts_table(view, "evidence_others", "Other arms against each other", others)
    return (first, *([replace(rest, folded=True)] if rest.rows else []))


def _contrasts_table(view: ComparisonView, name: str, title: str, contrasts: Sequence[Contrast]) -> Table:
    absent = {one.quantity: one.estimate.reason for one in contrasts if one.estimate.value is None}
    columns = ("quantity", "arm", "rival", "effect", "p", "n", "verdict", "about", "over items too")
    registered = (
        "Verdicts here are unadjusted. Where a question was registered and its adjusted answer is another "
        "one, both are told; all else is exploratory."
        if view.questions
        else "Nothing here was registered before the run, so all of it is exploratory and unadjusted."
    )
    notes = (
        "Effect on a score: arm minus rival, of shares in points of percent; a win rate against the rival "
        "itself is compared with 50%. Effect on a cost: the ratio arm / rival, geometric mean over seeds. "
        "Intervals: 95%. Bold: separable, and by the registered answer where there is one. Over items too: "
        "about the population of items and seeds alike, by a two-level analysis. "
        f"{DETECTABLE} {registered}",
        *aggregate_notes(view, (one.quantity for one in contrasts)),
        *narrower(contrasts),
        *(f"{quantity} is not measured: {reason}." for quantity, reason in absent.items()),
        *label_notes(view, *(one.quantity for one in contrasts)),
    )
    rows = tuple(_row(view, one) for one in contrasts if one.estimate.value is not None)
    return Table(name, title, columns, rows, notes)


def narrower(contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    """Why an interval over seeds and items can be narrower than the one over seeds, where one is."""
    if not any(
        one.both is not None and _width(one.both) < _width(one.estimate) < math.inf for one in contrasts
    ):
        return ()
    return (
        "Where the interval over items too is the narrower one, that is no mistake: the two are about "
        "different targets, and with few seeds a t interval has few degrees of freedom, while the two-level "
        "analysis learns the noise of items from every item and has more of them.",
    )


def _width(estimate: Estimate) -> float:
    """Infinite without an interval."""
    if estimate.low is None or estimate.high is None:
        return math.inf
    return estimate.high - estimate.low


def _row(view: ComparisonView, one: Contrast) -> tuple[Cell, ...]:
    value = one.estimate
    over_items = Cell(None, reason="a cost, or one seed", applies=False)
    return (
        Cell(marked(view, one.quantity, one.quantity)),
        Cell(one.a),
        Cell(one.b),
        replace(difference_cell(one.quantity, value, one.sources), bold=one.verdict.outcome in SEPARABLE),
        Cell(value.p, "number", digits=4, reason="no test", applies=False),
        Cell(value.n, "count"),
        Cell(one.verdict.text),
        Cell(value.target or NOT_MEASURED),
        over_items if one.both is None else difference_cell(one.quantity, one.both, one.sources),
    )
