"""The registered questions: the numbers behind each answer."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.aggregates import aggregate_notes
from harness.evidence.amounts import DETECTABLE
from harness.evidence.answers import Answer, scored_before
from harness.evidence.cells import difference_cell, difference_format
from harness.evidence.findings import Findings
from harness.evidence.registered import questions_in_words
from harness.evidence.sequence import look_note
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Section, Table

NO_MARGIN = "no margin was set"


def section(findings: Findings) -> Section | None:
    """None where nothing was asked before the run."""
    table = questions_table(findings.view, findings.answers)
    return None if table is None else Section("Questions", (), (table,))


def questions_table(view: ComparisonView, answers: Sequence[Answer]) -> Table | None:
    """One row a question; None where none was registered."""
    if not answers:
        return None
    rows = tuple(
        (
            Cell(one.quantity),
            Cell(one.a),
            Cell(one.b),
            difference_cell(one.quantity, one.estimate, one.sources),
            _margin(one),
            Cell(one.p, "number", digits=4, reason="no test", sources=one.sources, applies=False),
            Cell(one.p_not_worse, "number", digits=4, reason="no test", sources=one.sources, applies=False),
            Cell(one.verdict.text),
        )
        for one in answers
    )
    note = (
        "Registered in the comparison file. Effect on a score: arm minus rival, of shares in points of "
        "percent; on a cost: the ratio arm / rival, lower is better, with a margin in percent. Intervals: "
        "95%, of one question each and not adjusted. p: two-sided, of no difference; not worse: one-sided at "
        "2.5%, of being worse by the margin or more; both adjusted by one closed test over the "
        f"{questions_in_words(answers)} that are tested, of {len(answers)}. The same within the margin: two "
        f"one-sided tests at 5%, adjusted too. {DETECTABLE} Counted costs are values and not tested."
    )
    columns = ("quantity", "arm", "rival", "effect", "margin", "p", "p (not worse)", "verdict")
    made_of = aggregate_notes(view, (one.quantity for one in answers))
    notes = (note, *made_of, *look_note(view), *not_first(view))
    return Table("questions", "Questions asked before the run", columns, rows, notes)


def _margin(one: Answer) -> Cell:
    """The margin in its quantity's unit."""
    if one.is_cost:
        return Cell(one.margin, "percent", digits=1, reason=NO_MARGIN, applies=False)
    kind, digits = difference_format(one.quantity)
    return Cell(one.margin, kind, digits=digits, reason=NO_MARGIN, applies=False)


def not_first(view: ComparisonView) -> tuple[str, ...]:
    """What speaks against the questions having been asked first: results that were there already."""
    count, runs = scored_before(view)
    if not count:
        return ()
    return (
        f"NOT registered first: {count} scoring stage(s) of these arms come from {', '.join(runs)}, which "
        "had finished before this comparison was run, so these verdicts are exploratory.",
    )
