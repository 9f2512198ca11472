"""A table of the page: sorted by a column, filtered, a card a row where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from harness.render._html_text import breakable, escaped, folded
from harness.tables import Cell, Table
from harness.units import absence, for_readers, plain

WIDE = 8
"""Tables of more columns than this are printed across."""
FILTERED = 10
NUMBER = ' class="number"'


def html_table(table: Table, level: int) -> str:
    """A table with a header a row and a column, and one tab stop: arrow keys go from figure to figure.

    The title of one that is folded is a heading of this `level`.
    """
    table = for_readers(table)
    right = [
        all(r[i].kind != "text" or r[i].value is None for r in table.rows) for i in range(len(table.columns))
    ]
    heads = "".join(
        f'<th scope="col" aria-sort="none" data-name="{escaped(c)}"{NUMBER * n}>'
        f'<button type="button" tabindex="{0 if i == 0 else -1}">{escaped(c)}</button></th>'
        for i, (c, n) in enumerate(zip(table.columns, right, strict=True))
    )
    rows = "\n".join(_row(row, table.columns, right) for row in table.rows)
    notes = " ".join(escaped(n) for n in table.notes)
    box = f'<input type="search" aria-controls="t-{escaped(table.name)}">'
    search = f'<label class="filter">Filter rows {box}</label>' if len(table.rows) > FILTERED else ""
    title = escaped(table.title)
    # What is folded has its title where it is unfolded.
    named = f' aria-label="{title}">' if table.folded else f"><caption>{title}</caption>"
    wide = " wide" if len(table.columns) > WIDE else ""
    content = (
        f'{search}<div class="scroll{wide}">'
        f'<table id="t-{escaped(table.name)}"{named}'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="notes">{notes}</p>'
    )
    return folded(table.title, content, heading=f"h{level}") if table.folded else content


def _row(row: Sequence[Cell], columns: Sequence[str], right: Sequence[bool]) -> str:
    """The first cell is the row's header."""
    of = plain(row[0])
    cells = "".join(
        _cell(cell, f"{of}, {column}", column, number=number, header=i == 0)
        for i, (cell, column, number) in enumerate(zip(row, columns, right, strict=True))
    )
    return f"<tr>{cells}</tr>"


def _cell(cell: Cell, name: str, column: str, *, number: bool, header: bool) -> str:
    """A cell with what it sorts by; one with stages behind it can be asked for them, by its name."""
    shown = plain(cell)
    text = f"<strong>{breakable(shown)}</strong>" if cell.bold else breakable(shown)
    attributes = NUMBER * number + f' data-label="{escaped(column)}"'
    if isinstance(cell.value, int | float):
        attributes += f' data-value="{cell.value!r}"'
    if why := absence(cell):
        attributes += f' title="{escaped(why)}"'
    if cell.sources:
        stages = escaped(" ".join(cell.sources))
        label = escaped(f"{name}: {shown}")
        text = (
            f'<button type="button" class="source" tabindex="-1" aria-label="{label}" '
            f'data-stages="{stages}">{text}</button>'
        )
    return f'<th scope="row"{attributes}>{text}</th>' if header else f"<td{attributes}>{text}</td>"
