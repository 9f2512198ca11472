"""`harness trace`: from a cell of a report to the stages behind it."""

from __future__ import annotations

from pathlib import Path

from harness.commands.view import open_run
from harness.errors import UserError, unknown_name
from harness.evidence.documents.comparison import build_report
from harness.evidence.tuned import searches, trials_by_stage
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import load_claims
from harness.store.run_dir import RunRoot
from harness.tables import Cell, Table
from harness.terminal import PlainConsole
from harness.units import plain


def run(run_name: str, cell: str, *, out: Path) -> int:
    """Print where `TABLE ROW COLUMN` comes from; ROW are words of its text, COLUMN its heading."""
    root, view = open_run(run_name, out)
    report = build_report(view, load_claims())
    tables = {table.name: table for table in report.tables()}
    name, *words = cell.split() or [""]
    if name not in tables:
        raise unknown_name("table", name, list(tables))
    console = PlainConsole()
    matches = _cells(tables[name], words)
    if not matches:
        raise UserError(
            f'no cell of table {name} answers to "{" ".join(words)}"',
            remedy=f"columns: {', '.join(tables[name].columns)}; rows begin with "
            f"{', '.join(dict.fromkeys(plain(row[0]) for row in tables[name].rows))}",
        )
    for place, one in matches:
        console.print(f"{place}: {plain(one)}", highlight=False, soft_wrap=True)
        for line in _origin(view, one, root):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    return 0


def _cells(table: Table, words: list[str]) -> list[tuple[str, Cell]]:
    """Cells whose row and heading hold every word; a heading given whole leaves its column alone."""
    text = " ".join(words).lower()
    columns = [c for c in table.columns if text.endswith(c.lower())]
    column = max(columns, key=len, default=None)
    rest = text.removesuffix(column.lower() if column else "").split()
    matches = []
    for row in table.rows:
        words_of_row = {part for cell in row if cell.kind == "text" for part in plain(cell).lower().split()}
        if all(word in words_of_row for word in rest):
            label = " ".join(plain(cell) for cell in row if cell.kind == "text" and cell.value)[:80]
            matches += [
                (f"{table.name}, {label}, {name}", cell)
                for name, cell in zip(table.columns, row, strict=True)
                if column in (None, name) and (cell.sources or column)
            ]
    return matches


def _behind(view: ComparisonView, cell: Cell) -> list[str]:
    """The stages that wrote a figure, and of an arm's those of the arm that they read: a judge's stage goes
    back to answers, and answers to training."""
    order = list(cell.sources)
    own = set()
    if cell.about is not None and cell.about.arm is not None:
        cells = view.cells_of(cell.about.arm)
        own = {digest for one in cells for digest in (*one.stages, one.evaluate) if digest}
    for digest in order:
        stage = view.record.plan.stages.get(digest)
        order += [one for one in stage.needs.values() if one in own and one not in order] if stage else []
    return order


def _origin(view: ComparisonView, cell: Cell, root: RunRoot) -> list[str]:
    """The run, and every stage behind a cell; those of a search are no part of it and lie in its root."""
    if not cell.sources:
        return [cell.reason or "no stage stands behind it"]
    lines = [f"run {view.record.id}: {view.record.command}"]
    trials = trials_by_stage(searches(view))
    for digest in _behind(view, cell):
        stage = view.record.results.get(digest) or (root.finished(digest) if digest in trials else None)
        if stage is None:
            where = f"{trials[digest]}, whose files are gone" if digest in trials else "not in this run"
            lines.append(f"stage {digest}: {where}")
            continue
        environment = stage.environment
        judges = {s.settings.get("judge") for _, (d, s) in view.written.items() if d == digest} - {None}
        lines.append(
            f"stage {stage.name} ({digest}), seed {stage.seed}, finished {stage.finished_at[:19]}Z on "
            f"{environment.device_name}; commit {environment.git_commit or 'no git checkout'}, packages "
            f"{environment.lock_digest or 'unknown'}"
            + (f"; {trials[digest]}" if digest in trials else "")
            + (f"; judge {', '.join(sorted(map(str, judges)))}" if judges else "")
        )
    return lines
