"""The registered questions: an answer each in words, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.answers import Answer, scored_before
from harness.evidence.cells import estimate_cell
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section | None:
    """None where nothing was asked before the run."""
    table = questions_table(findings.view, findings.answers)
    return None if table is None else Section("Questions", sentences(findings.answers), (table,))


def sentences(answers: Sequence[Answer]) -> tuple[str, ...]:
    """One sentence a question: the verdict and what it rests on."""
    return tuple(
        f"{one.quantity}, {one.a} against {one.b}: {one.verdict.text}{_numbers(one)}." for one in answers
    )


def _numbers(one: Answer) -> str:
    value = one.estimate
    if value.value is None:
        return ""
    between = ""
    if value.low is not None and value.high is not None:
        between = f", 95% interval {value.low:.3g} to {value.high:.3g}"
    return f" ({'ratio' if one.is_cost else 'difference'} {value.value:.3g}{between}, n = {value.n})"


def questions_table(view: ComparisonView, answers: Sequence[Answer]) -> Table | None:
    """One row a question; None where none was registered."""
    if not answers:
        return None
    rows = tuple(
        (
            Cell(one.quantity),
            Cell(one.a),
            Cell(one.b),
            estimate_cell(one.estimate, one.sources),
            Cell(one.margin, "number", digits=3, reason="no margin was set"),
            Cell(one.p, "number", digits=4, reason="no test", sources=one.sources),
            Cell(one.p_not_worse, "number", digits=4, reason="no test", sources=one.sources),
            Cell(one.verdict.text),
        )
        for one in answers
    )
    note = (
        "Registered in the comparison file. Scores: difference a - b; costs: ratio a / b, lower is better. "
        "p: two-sided, of no difference; not worse: one-sided at 2.5%, of being worse by the margin or more; "
        f"both adjusted by Holm over the questions that are tested, of {len(answers)}. The same within the "
        "margin: two one-sided tests at 5%. Counted costs are values and not tested."
    )
    columns = ("quantity", "a", "b", "a against b", "margin", "p", "p of not worse", "verdict on a")
    return Table("questions", "Questions asked before the run", columns, rows, (note, *not_first(view)))


def not_first(view: ComparisonView) -> tuple[str, ...]:
    """What speaks against the questions having been asked first: results that were there already."""
    count, runs = scored_before(view)
    if not count:
        return ()
    return (
        f"NOT registered first: {count} scoring stage(s) of these arms come from {', '.join(runs)}, which "
        "had finished before this comparison was run, so these verdicts are exploratory.",
    )
