"""What goes into a paper: a table of costs and scores, one of registered answers, and what they cite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.errors import unknown_name
from harness.evidence.answers import Answer
from harness.evidence.cells import difference_cell
from harness.evidence.combined import combined_effects
from harness.evidence.documents.macros import macros
from harness.evidence.documents.methods_text import listed, methods
from harness.evidence.documents.mixing import same_device
from harness.evidence.documents.paper_captions import answer_notes, main_notes, short_model
from harness.evidence.documents.paper_columns import (
    Column,
    cell_of,
    column_of,
    columns_of,
    display_names,
    usual_columns,
)
from harness.evidence.documents.paper_figures import figures_of, figures_over_runs
from harness.evidence.findings import Findings, findings
from harness.evidence.registered import is_best
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import FLOPS, cost_of
from harness.tables import Cell, Paper, Reference, Statement, Table
from harness.units import rounded

SMALLEST_P = 0.001


def build_paper(
    views: Sequence[ComparisonView],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    figures: Sequence[str] = (),
) -> Paper:
    """The paper of one run, or of several whose models are then rows; arms, columns and figures as named.

    Without `rows` every arm is one; without `columns` those of `usual_columns`; without `figures` those that
    are `usual`. Raises UserError for unknown names.
    """
    known = columns_of(views)
    arms = list(dict.fromkeys(arm for view in views for arm in view.arms))
    chosen_rows = _chosen("row", rows, [*arms, BASE]) or arms
    chosen = _chosen("column", columns, list(known)) or usual_columns(views, known)
    found = [findings(view) for view in views]
    tables = [_main(found, chosen_rows, [known[name] for name in chosen])]
    if len(found) == 1:
        drawn, usual = figures_of(found[0], chosen_rows)
        tables += [_answers(found[0], known)] if found[0].answers else []
    else:
        drawn, usual = figures_over_runs(combined_effects(views))
    shown = _chosen("figure", figures, list(drawn)) or usual
    how, cited = _methods(found)
    printed = tuple(drawn[name] for name in shown)
    return Paper(_title(found), tuple(tables), macros(found, known), how, cited, printed)


def _chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names in their order, each once; raises UserError for one that is unknown."""
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known, where=f"--{kind}s")
    return list(dict.fromkeys(names))


def _title(found: Sequence[Findings]) -> str:
    pair, names = found[0].primary, display_names(found[0].view)
    if pair is None:
        return f"What {listed(names[arm] for arm in found[0].view.arms)} costs and reaches"
    return f"{names[pair.a]} against {names[pair.b]}"


def _main(found: Sequence[Findings], rows: Sequence[str], columns: Sequence[Column]) -> Table:
    """A row an arm; of several runs, a group of rows a model."""
    several = len(found) > 1
    alike = same_device([one.view for one in found])
    models = _models([one.view for one in found])
    body = []
    for one, model in zip(found, models, strict=True):
        arms = [arm for arm in rows if arm in (*one.view.arms, BASE)]
        for place, arm in enumerate(arms):
            cells = (_cell(one, arm, arms, column, alike=alike) for column in columns)
            named = (Cell("" if place else model),) if several else ()
            body.append((*named, Cell(display_names(one.view)[arm]), *cells))
    headings = (*(("Model",) if several else ()), "Method", *(column.heading for column in columns))
    names = dict.fromkeys(str(row[int(several)].value) for row in body)
    title = f"Costs and scores of {listed(names)}." if names else "Costs and scores."
    return Table("main", title, headings, tuple(body), tuple(main_notes(found, columns, body)))


def _models(views: Sequence[ComparisonView]) -> list[str]:
    """Runs by their models; those that share one by their data and seeds too."""
    names = [short_model(view) for view in views]
    if len(set(names)) == len(names):
        return names
    full = [f"{name}, {view.source}" for name, view in zip(names, views, strict=True)]
    if len(set(full)) == len(full):
        return full
    return [f"{name}, seeds {', '.join(map(str, v.seeds))}" for name, v in zip(full, views, strict=True)]


def _cell(one: Findings, arm: str, arms: Sequence[str], column: Column, *, alike: bool) -> Cell:
    """A figure, bold where it is separably better than that of every other row of its run."""
    cost = cost_of(column.quantity)
    if cost not in (None, FLOPS) and not column.is_ratio and not alike:
        return Cell(None, reason="the runs are of different devices or installations")
    cell = cell_of(one.view, arm, column)
    best = cell.value is not None and is_best(arm, arms, column.quantity, one.contrasts)
    return replace(cell, bold=best)


def _answers(found: Findings, columns: Mapping[str, Column]) -> Table:
    """One row a registered question: effect, p of the verdict, verdict in a word."""
    pairs = list(dict.fromkeys((one.a, one.b) for one in found.answers))
    pair = pairs[0] if len(pairs) == 1 else None
    margins = len({one.margin for one in found.answers}) > 1
    names = display_names(found.view)
    rows = []
    for one in found.answers:
        of = () if pair else (Cell(f"{names.get(one.a, one.a)} against {names.get(one.b, one.b)}"),)
        effect = difference_cell(one.quantity, one.estimate, one.sources)
        within = (_margin(one),) if margins else ()
        named = Cell(_asked(columns, one))
        rows.append((named, *of, effect, *within, Cell(_p(one)), Cell(one.verdict.outcome.value)))
    headings = (
        "Quantity",
        *(() if pair else ("Of",)),
        "Effect",
        *(("Margin",) if margins else ()),
        "p",
        "Verdict",
    )
    title = "Answers to the registered questions."
    return Table("answers", title, headings, tuple(rows), tuple(answer_notes(found, pair)))


def _asked(columns: Mapping[str, Column], one: Answer) -> str:
    return column_of(columns, one.quantity).words + (" (ratio)" if one.is_cost else "")


def _margin(one: Answer) -> Cell:
    if one.margin is None:
        return Cell(None, reason="no margin was registered")
    return Cell(
        one.margin,
        "percent" if one.is_cost else difference_cell(one.quantity, one.estimate, ()).kind,
        digits=1,
    )


def _p(one: Answer) -> str:
    """The adjusted p of what the verdict says; counted costs have none."""
    p = one.p_not_worse if one.verdict.outcome == Outcome.NOT_WORSE else one.p
    if p is None:
        return "--"
    return f"<{SMALLEST_P:g}" if p < SMALLEST_P else rounded(p, 3)


def _methods(found: Iterable[Findings]) -> tuple[tuple[Statement, ...], tuple[Reference, ...]]:
    """The methods of all runs, what they share once."""
    statements: dict[Statement, None] = {}
    references: dict[str, Reference] = {}
    for one in found:
        how, cited = methods(one)
        statements |= dict.fromkeys(how)
        references |= {reference.key: reference for reference in cited}
    return tuple(statements), tuple(references.values())
