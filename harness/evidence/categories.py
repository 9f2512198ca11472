"""MT-Bench by category: a table and a radar figure."""

from __future__ import annotations

from harness.evidence.scores import arm_score
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Figure, Panel, Series, Table

PREFIX = "mt_bench.score_in_"
WHOLE = ("mt_bench.score", "mt_bench.score_turn_1", "mt_bench.score_turn_2", "mt_bench.helpfulness")


def categories_of(view: ComparisonView) -> list[str]:
    """The categories that some arm was graded in, in order of appearance."""
    return [m.removeprefix(PREFIX) for m in view.metrics() if m.startswith(PREFIX)]


def category_table(view: ComparisonView) -> Table | None:
    """A row a category and a column an arm; None without MT-Bench."""
    if "mt_bench.score" not in view.metrics():
        return None
    metrics = [PREFIX + name for name in categories_of(view)]
    metrics += [metric for metric in WHOLE if metric in view.metrics()]
    rows = []
    for metric in metrics:
        name = metric.removeprefix(PREFIX).removeprefix("mt_bench.").replace("_", " ")
        cells = []
        for arm in view.arms:
            found = arm_score(view, arm, metric)
            reason = found.reason or view.why_unscored(arm, metric)
            sources = view.score_sources(arm, metric)
            cells.append(
                Cell(found.value, "number", found.low, found.high, 2, reason=reason, sources=sources)
            )
        rows.append((Cell(name), *cells))
    return Table("mt_bench", "MT-Bench", ("category", *view.arms), tuple(rows), (_note(view),))


def radar_figure(view: ComparisonView) -> Figure | None:
    """Mean grade by category, an outline an arm; None for fewer than three categories."""
    names = categories_of(view)
    series = []
    for arm in view.arms:
        values = [arm_score(view, arm, PREFIX + name).value for name in names]
        if all(value is not None for value in values):
            x = tuple(float(i) for i in range(len(names)))
            series.append(Series(arm, x, tuple(float(v) for v in values if v is not None)))
    if len(names) < 3 or not series:
        return None
    panel = Panel("MT-Bench", "", "grade", tuple(series), kind="radar", x_names=tuple(names))
    return Figure("mt_bench_radar", "MT-Bench by category", (panel,), _note(view))


def _note(view: ComparisonView) -> str:
    """Who graded, and whether published figures compare."""
    known = [s.settings for (_, metric), (_, s) in view.written.items() if metric == "mt_bench.score"]
    judges = ", ".join(sorted({str(k.get("judge")) for k in known}))
    text = f"Grades from 1 to 10 by {judges}, mean over turns; helpfulness is the same on 1 to 5."
    if any(k.get("comparable_with_published") is False for k in known):
        text += " Not comparable with published MT-Bench scores: another judge, or prompts of our own."
    return text
