"""Tables that fit: as they are where there is room, else a few lines a row, and never broken words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.tables import Table as Shown
from harness.units import for_readers, plain

WIDEST = 1000


def print_table(table: Table, console: Console) -> None:
    """A wide table goes whole into a file or a pipe; on a terminal too narrow for it each row is a list."""
    natural = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    if natural <= console.width:
        console.print(table)
    elif not console.is_terminal:
        table.width = natural
        console.print(table, crop=False)
    else:
        _print_rows(table, console)


def print_for_readers(table: Shown, console: Console) -> None:
    """A table of a document, with its notes; numbers stand right."""
    shown = for_readers(table)
    printed = Table(title=shown.title, title_justify="left", box=None)
    for place, column in enumerate(shown.columns):
        words = all(row[place].kind == "text" for row in shown.rows)
        printed.add_column(column, justify="left" if words else "right", overflow="fold")
    for row in shown.rows:
        printed.add_row(*map(plain, row))
    print_table(printed, console)
    for note in shown.notes:
        console.print(note, soft_wrap=True)


def _print_rows(table: Table, console: Console) -> None:
    """The first cell, and under it the others with their headings; empty ones are left out."""
    if table.title:
        console.print(Text(str(table.title), style="italic"))
    headings = [str(column.header) for column in table.columns]
    widest = max(map(len, headings))
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(Text(f"{headings[0]} {cells[0]}".strip(), style="bold"))
        for heading, cell in zip(headings[1:], cells[1:], strict=True):
            if str(cell):
                console.print(Text(f"  {heading:<{widest}}  {cell}"))
