"""The report of a comparison: the answers on its first page, then everything that they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.methods_text import methods
from harness.evidence.documents.replayed import replay_report
from harness.evidence.findings import findings
from harness.evidence.next_steps import DEFAULT_ROOT
from harness.evidence.sections import (
    answering,
    causes,
    claims,
    devices,
    dynamics,
    failed,
    frontier,
    ledger,
    limits,
    parallel,
    people,
    predictions,
    provenance,
    quality,
    questions,
    results,
    reward,
    rounds,
    settings,
    spread,
    summary,
    terms,
    tuning,
    updates,
)
from harness.evidence.sections.first import first_page
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.tables import Report

PARTS = {
    "": (results.section,),
    "Quality": (
        questions.section,
        quality.section,
        rounds.section,
        spread.section,
        people.section,
        claims.section,
    ),
    "Cost": (ledger.section, parallel.section, devices.section, frontier.section, predictions.section),
    "Tuning": (tuning.section,),
    "Where the cost comes from": (causes.section,),
    "How training went": (dynamics.section, reward.section, updates.section),
    "Can this be trusted?": (failed.section, limits.section, terms.parity_section, answering.section),
    "Settings and data": (settings.section, terms.data_section),
    "Provenance": (provenance.section,),
}
"""In the order in which a reviewer asks; a section that has nothing to show is None."""


def build_report(
    view: ComparisonView,
    published: Sequence[Claim] = (),
    warnings: Sequence[str] = (),
    root: Path = DEFAULT_ROOT,
) -> Report:
    """All sections, tables and figures of one comparison; `published` claims are judged on it.

    `warnings` are what only the outside knows, such as a comparison file that changed after the run; `root`
    is the folder of runs, as commands are given it.
    """
    everything = findings(view, published, warnings, root)
    if view.replayed:
        return replay_report(everything)
    sections = [(part, section(everything)) for part, sections in PARTS.items() for section in sections]
    how, cited = methods(everything)
    first = first_page(everything)
    warned = {"warnings": list(first.warnings) if first is not None else []}
    return Report(
        summary.title(everything),
        summary.summary(everything),
        tuple(replace(section, part=part) for part, section in sections if section is not None),
        comparison_data(everything) | warned,
        methods=how,
        references=cited,
        first=first,
    )
