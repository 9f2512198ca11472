"""The search before the comparison: who is ahead after how many trials, at which cost, and how surely."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.findings import Findings
from harness.evidence.sections.tuning_figures import figures
from harness.evidence.sections.tuning_leads import leads_table
from harness.evidence.sections.tuning_tables import (
    best_table,
    chosen_table,
    cost_table,
    importance_table,
    trials_table,
)
from harness.evidence.sections.tuning_words import words
from harness.evidence.tuned import Search
from harness.tables import Section, Table

TITLE = "Tuning"


def section(findings: Findings) -> Section | None:
    """None where nothing was tuned; of random weights only what the search cost."""
    view = findings.view
    found = findings.searches
    if not found:
        return None
    if view.random_weights:
        why = (
            "Training began from random weights, so that scores of trials mean nothing; their costs are real."
        )
        return Section(TITLE, (why,), (cost_table(view, found),))
    tables = (chosen_table(found), *_judged(found), cost_table(view, found), trials_table(found))
    teaser = "expected best of trials; cost and settings of every trial"
    return Section(TITLE, words(findings, found), tables, figures(found), teaser=teaser)


def _judged(found: Sequence[Search]) -> list[Table]:
    """The tables that need scores."""
    if not any(one.scores for one in found):
        return []
    leads = leads_table(found)
    return [best_table(found), *([leads] if leads.rows else []), importance_table(found)]
