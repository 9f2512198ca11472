"""MT-Bench by category: a table and a radar figure."""

from __future__ import annotations

from dataclasses import replace

from harness.evidence.cells import estimate_cell, item_cells
from harness.evidence.scores import arm_score
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Figure, Panel, Series, Table

BENCHMARK = "mt_bench"
IN_CATEGORY = "score_in_"
WHOLE = ("score_turn_1", "score_turn_2", "score", "helpfulness")


def gradings(view: ComparisonView) -> list[str]:
    """MT-Bench as often as it was graded: `mt_bench`, and `mt_bench@<label>` where graded again."""
    names = (metric.rpartition(".")[0] for metric in view.metrics())
    return [name for name in dict.fromkeys(names) if name.partition("@")[0] == BENCHMARK]


def categories_of(view: ComparisonView, grading: str) -> list[str]:
    """Categories that were graded, in order of appearance."""
    prefix = f"{grading}.{IN_CATEGORY}"
    return [m.removeprefix(prefix) for m in view.metrics() if m.startswith(prefix)]


def category_table(view: ComparisonView, grading: str = BENCHMARK) -> Table:
    """A row a category and a column an arm."""
    names = (*(IN_CATEGORY + category for category in categories_of(view, grading)), *WHOLE)
    rows = [
        (
            Cell(name.removeprefix(IN_CATEGORY).replace("_", " ")),
            *(_grade(view, arm, f"{grading}.{name}") for arm in view.arms),
            *item_cells(view, f"{grading}.{name}"),
        )
        for name in names
        if f"{grading}.{name}" in view.metrics()
    ]
    title = grading.replace(BENCHMARK, "MT-Bench").replace("@", ", graded as ")
    name = grading.replace("@", "_")
    return Table(
        name, title, ("category", *view.arms, "items", "missing"), tuple(rows), (_note(view, grading),)
    )


def _grade(view: ComparisonView, arm: str, metric: str) -> Cell:
    grade = arm_score(view, arm, metric)
    reason = view.why_unscored(arm, metric) if grade.value is None else None
    return replace(estimate_cell(grade, view.score_sources(arm, metric), digits=2), reason=reason)


def radar_figure(view: ComparisonView, grading: str = BENCHMARK) -> Figure | None:
    """Mean grade by category, an outline an arm; None for fewer than three categories."""
    names = categories_of(view, grading)
    series = []
    for arm in view.arms:
        values = [arm_score(view, arm, f"{grading}.{IN_CATEGORY}{name}").value for name in names]
        if all(value is not None for value in values):
            x = tuple(float(i) for i in range(len(names)))
            series.append(Series(arm, x, tuple(float(v) for v in values if v is not None)))
    if len(names) < 3 or not series:
        return None
    panel = Panel("MT-Bench", "", "grade", tuple(series), kind="radar", x_names=tuple(names))
    name = f"{grading.replace('@', '_')}_radar"
    return Figure(name, "MT-Bench by category", (panel,), _note(view, grading))


def _note(view: ComparisonView, grading: str) -> str:
    """Who graded, and whether published figures compare."""
    metric = f"{grading}.score"
    known = [s.settings for (_, name), (_, s) in view.written.items() if name == metric]
    judges = ", ".join(sorted({str(k.get("judge")) for k in known}))
    text = f"Grades from 1 to 10 by {judges}, mean over turns; helpfulness is the same on 1 to 5."
    if any(k.get("comparable_with_published") is False for k in known):
        text += " Not comparable with published MT-Bench scores: another judge, or prompts of our own."
    return text
