"""The registered quantities as a forest: each estimate with its interval, on its margin."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.answers import Answer
from harness.evidence.cells import difference_format
from harness.evidence.findings import Findings
from harness.evidence.registered import questions_in_words
from harness.evidence.short import asked, quantity_title
from harness.tables import Figure, ForestRow, Panel

SCALES = {"points": "points", "number": "difference"}


def forest(findings: Findings) -> Figure | None:
    """The registered quantities with their intervals on their margins; None where none has a value."""
    shown = [one for one in findings.answers if one.estimate.value is not None]
    if not shown or findings.primary is None:
        return None
    panels = [
        *(_scores(findings, [one for one in shown if _kind(one) == kind], kind) for kind in SCALES),
        _costs(findings, [one for one in shown if one.is_cost]),
    ]
    caption = (
        "Dots: estimates with 95% intervals, each of one question alone. Grey: the registered margin. "
        f"Dashed: no difference. Verdicts are corrected for {questions_in_words(findings.answers)}."
    )
    sources = tuple(dict.fromkeys(source for one in shown for source in one.sources))
    drawn = tuple(panel for panel in panels if panel is not None)
    return Figure("registered", "Registered questions", drawn, caption, sources)


def _kind(one: Answer) -> str | None:
    """The kind of a difference; None for a cost, which is a ratio."""
    return None if one.is_cost else difference_format(one.quantity)[0]


def _scores(findings: Findings, answers: Sequence[Answer], kind: str) -> Panel | None:
    """Differences; shares in points."""
    if not answers:
        return None
    times, digits = (100.0, 2) if kind == "points" else (1.0, 3)
    title, labels = _labels(findings, "Scores", answers)
    rows = tuple(_row(one, label, times) for one, label in zip(answers, labels, strict=True))
    return Panel(title, SCALES[kind], "", (), kind="forest", rows=rows, digits=digits)


def _costs(findings: Findings, answers: Sequence[Answer]) -> Panel | None:
    """Ratios on a logarithmic axis, in percent of what the other arm takes."""
    if not answers:
        return None
    title, labels = _labels(findings, "Costs", answers)
    rows = tuple(_row(one, label, 100.0) for one, label in zip(answers, labels, strict=True))
    return Panel(
        title,
        "percent, lower is better",
        "",
        (),
        kind="forest",
        rows=rows,
        neutral=100.0,
        log_x=True,
        digits=1,
    )


def _row(one: Answer, label: str, times: float) -> ForestRow:
    ends = (one.estimate.value, one.estimate.low, one.estimate.high)
    value, low, high = (None if end is None else times * end for end in ends)
    assert value is not None
    margins = None
    if one.margin is not None:
        below, above = (1 / (1 + one.margin), 1 + one.margin) if one.is_cost else (-one.margin, one.margin)
        margins = (times * below, times * above)
    return ForestRow(label, value, low, high, kind="answer", margins=margins)


def _labels(findings: Findings, title: str, answers: Sequence[Answer]) -> tuple[str, list[str]]:
    """The panel's title, and a label a row: where one quantity was asked of several pairs of arms it stands
    in the title, and rows name their arms, since a label has little room."""
    quantities = {one.quantity for one in answers}
    if len(quantities) > 1 or len({(one.a, one.b) for one in answers}) == 1:
        return title, [_label(findings, one) for one in answers]
    name = quantity_title(findings.view, findings.titles, quantities.pop())
    return f"{title}: {name}", [f"{one.a} against {one.b}" for one in answers]


def _label(findings: Findings, one: Answer) -> str:
    view, pair = findings.view, findings.primary
    assert pair is not None
    lower = not one.is_cost and view.higher_is_better(one.quantity) is False
    return asked(view, findings.titles, one, pair, ", lower is better" if lower else "")
