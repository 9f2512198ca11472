"""Costs and results: a row an arm, with what it is, what it costs and what it reaches."""

from __future__ import annotations

from harness.evidence.arms import arm_titles
from harness.evidence.cells import cost_cell, estimate_cell, score_cell
from harness.evidence.costs import arm_cost, cost_ratio, cost_title, on_several_devices
from harness.evidence.findings import Findings
from harness.evidence.labels import SCORES, marked
from harness.evidence.labels import notes as label_notes
from harness.evidence.sections.categories import gradings
from harness.evidence.sections.registered_forest import forest
from harness.evidence.view import ComparisonView
from harness.quantities import COSTS, FLOPS, PEAK_MEMORY, WALL_SECONDS, WIN_RATE
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section:
    """The main table, and the registered questions as a forest."""
    drawn = forest(findings)
    return Section("Costs and results", (), (main_table(findings.view),), (drawn,) if drawn else ())


def main_table(view: ComparisonView) -> Table:
    """One row an arm: what it is, what it costs, what it reaches; scores that no arm has have no column."""
    win_rate, graded = main_win_rate(view), bool(gradings(view))
    shown, titles = (WALL_SECONDS, PEAK_MEMORY, FLOPS), arm_titles(view)
    columns = (
        "arm",
        "methods",
        *(marked(view, cost_title(view, quantity), quantity.name) for quantity in shown),
        *([marked(view, "win rate", win_rate)] if win_rate else []),
        *(["helpfulness"] if graded else []),
        marked(view, "relative cost", WALL_SECONDS.name),
    )
    rows = [
        (
            Cell(arm),
            Cell(titles[arm]),
            *(cost_cell(view, arm, quantity) for quantity in shown),
            *([score_cell(view, arm, win_rate)] if win_rate else []),
            *([score_cell(view, arm, f"{gradings(view)[0]}.helpfulness")] if graded else []),
            relative_cell(view, arm),
        )
        for arm in view.arms
    ]
    won = (
        f" Win rate: against {rival_words(view, win_rate)}, 50% = equal, ties count half." if win_rate else ""
    )
    used = len({block.seed for block in view.blocks.values() if block.whole})
    mean = "" if view.mixed_fleet else f"; mean of {used} seed{'' if used == 1 else 's'}"
    time = cost_title(view, WALL_SECONDS)
    each = ", times the devices of each" if on_several_devices(view) else ""
    notes = (
        f"{time.capitalize()}: from model load to the final checkpoint, summed over stages{each}{mean}. "
        f"Relative cost: {time} over that of {view.cost_reference}, geometric mean over seeds and repeats "
        f"with its 95% interval.{_by_kind(view)}{won}",
        *label_notes(view, *(quantity.name for quantity in COSTS), win_rate or SCORES),
    )
    return Table("main", "What each arm costs and reaches", columns, tuple(rows), notes)


def _by_kind(view: ComparisonView) -> str:
    if not view.mixed_fleet:
        return ""
    return (
        " By kind: seconds of several kinds of device have no mean and stand in the table of kinds; relative "
        "cost is formed within seeds and combined over kinds."
    )


def main_win_rate(view: ComparisonView) -> str | None:
    """The win rate of every arm against one rival: the first that is no head-to-head of two arms."""
    names = (*(metric for _, metric in view.written), *view.metrics())
    return next((metric for metric in names if metric.rpartition(".")[2] == WIN_RATE), None)


def rival_words(view: ComparisonView, metric: str | None) -> str:
    """Whom answers were compared with, in words."""
    rival = None if metric is None else view.rival_of(metric)
    if rival is None:
        return view.baseline
    if rival in view.arms:
        return rival
    return "the data's chosen answers" if rival == "chosen" else f"the answers of {rival}"


def relative_cell(view: ComparisonView, arm: str) -> Cell:
    """The arm's training time over that of the comparison's cost reference, with its interval."""
    if view.cost_reference not in view.arms:
        return Cell(None, reason=f"{view.cost_reference} is not in this comparison")
    cost, reference = (arm_cost(view, one, WALL_SECONDS) for one in (arm, view.cost_reference))
    sources = tuple(dict.fromkeys((*cost.sources, *reference.sources)))
    return estimate_cell(cost_ratio(view, arm, view.cost_reference, WALL_SECONDS), sources, "percent", 1)
