"""Figures of a paper: those of a report by the arms' display names, and the few that are usually printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.evidence.combined import CombinedEffect
from harness.evidence.documents.over_runs import forest
from harness.evidence.documents.paper_columns import display_names
from harness.evidence.findings import Findings
from harness.evidence.sections import dynamics, frontier, quality, results, tuning
from harness.tables import Figure

USUAL = ("registered", "score_against_flops", "quality_against_cost", "log_odds_margin")
"""Answers on their margins; a score and held-out quality against cost; what training did to the pairs."""
Figures = tuple[dict[str, Figure], list[str]]
"""Every figure by name, and the names of those that are usually printed."""


def figures_of(found: Findings, arms: Sequence[str]) -> Figures:
    """Those of one run, with lines and clouds of `arms` alone."""
    names = {arm: name for arm, name in display_names(found.view).items() if arm in arms}
    modules = (results, quality, frontier, dynamics, tuning) if not found.view.replayed else (quality,)
    sections = (module.section(found) for module in modules)
    drawn = [figure for section in sections if section for figure in section.figures if figure.has_series]
    by_name = {figure.name: _named(figure, names) for figure in drawn}
    return by_name, [name for name in USUAL if name in by_name]


def figures_over_runs(effects: Sequence[CombinedEffect]) -> Figures:
    """A forest of every effect that several runs combine; usually of those that all of them registered."""
    by_name, usual = {}, []
    for one in effects:
        if one.combined is not None:
            figure = forest(one)
            by_name[figure.name] = figure
            usual += [figure.name] if one.registered else []
    return by_name, usual


def _named(figure: Figure, names: Mapping[str, str]) -> Figure:
    """Lines and clouds of the named arms, by the names that a paper gives them."""
    panels = [
        replace(
            panel,
            series=tuple(replace(one, label=names[one.label]) for one in panel.series if one.label in names),
        )
        for panel in figure.panels
    ]
    return replace(figure, panels=tuple(panels))
