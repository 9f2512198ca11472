"""`harness beside`: a published table of arms, with this run's own figures under each row."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table as Shown

from harness.commands.view import open_run
from harness.evidence.documents.beside import beside_table
from harness.pipeline.published import load_published
from harness.tables import Table
from harness.terminal import PlainConsole
from harness.units import for_readers, plain


def run(run_name: str, *, table: str, out: Path) -> int:
    """Print the table; the published one is read first, so that a wrong name costs nothing."""
    published = load_published(table)
    _, view = open_run(run_name, out)
    _show(for_readers(beside_table(view, published)), PlainConsole())
    return 0


def _show(table: Table, console: PlainConsole) -> None:
    shown = Shown(title=table.title, box=box.SIMPLE_HEAD, title_justify="left")
    for place, name in enumerate(table.columns):
        words = all(row[place].kind == "text" for row in table.rows)
        shown.add_column(name, justify="left" if words else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(plain(cell) for cell in row))
    console.print(shown)
    for note in table.notes:
        console.print(note, soft_wrap=True)
