"""A table as papers print it: one unit a column, named in its heading, and intervals a size smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.render._layout import width
from harness.render._styles import GAP, Style
from harness.render._words import escape, number, sources_comment
from harness.tables import Cell, Table
from harness.units import in_column

ABSENT = "--"
BETWEEN = 0.3
"""Ems between a value and its interval."""


@dataclass(frozen=True)
class _Column:
    """One column: its heading in lines, and a value and an interval a row."""

    heading: tuple[str, ...]
    numeric: bool
    values: tuple[str, ...]
    intervals: tuple[str, ...]
    bold: tuple[bool, ...]

    @property
    def has_intervals(self) -> bool:
        return any(self.intervals)

    def points(self, size: float, smaller: float) -> float:
        """How wide it is, in points of a usual font, where text and intervals are of these sizes."""
        values = (width(text, bold=bold) for text, bold in zip(self.values, self.bold, strict=True))
        value = max(values, default=0.0) * size
        interval = max(map(width, self.intervals), default=0.0) * smaller
        body = value + (interval + BETWEEN * size if interval else 0.0)
        return max(body, *(width(line) * size for line in self.heading))


@dataclass(frozen=True)
class _Fit:
    """The size and the room that a table takes: over a column, or over the page."""

    size: str
    smaller: str
    over_page: bool
    parts: tuple[tuple[_Column, ...], ...]


def compact(table: Table, style: Style) -> str:
    """A float of the whole table; over both columns where one is too narrow, in parts where both are."""
    columns = tuple(_column(table, index) for index in range(len(table.columns)))
    keys = next((i for i, column in enumerate(columns) if column.numeric), len(columns))
    fit = _fit(columns, keys, style)
    caption = escape(" ".join([table.title, *table.notes]))
    kind = "table*" if fit.over_page and style.has_two_columns else "table"
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            rf"\begin{{{kind}}}[tbp]",
            rf"\centering\{fit.size}\setlength{{\tabcolsep}}{{{GAP:g}pt}}",
            rf"\caption{{{caption}}}\label{{tab:{table.name}}}",
            *(line for i, part in enumerate(fit.parts) for line in _tabular(table, part, fit, i)),
            rf"\end{{{kind}}}",
            "",
        ]
    )


def _column(table: Table, index: int) -> _Column:
    cells = [row[index] for row in table.rows]
    measured = [cell for cell in cells if cell.value is not None]
    numeric = bool(measured) and all(cell.kind != "text" for cell in measured)
    unit, shown = in_column(measured)
    texts = iter(shown)
    pairs = [next(texts) if cell.value is not None else (ABSENT, "") for cell in cells]
    first, *rest = table.columns[index].split("\n")
    named = [*rest, f"({unit})"] if unit else rest
    heading = (first, " ".join(named)) if named else (first,)
    values, intervals = zip(*pairs, strict=True) if pairs else ((), ())
    bold = tuple(cell.bold for cell in cells)
    return _Column(heading, numeric or not measured, tuple(values), tuple(intervals), bold)


def _fit(columns: Sequence[_Column], keys: int, style: Style) -> _Fit:
    """The largest size that fits a column; else the page; else the smallest, in parts."""
    for room in dict.fromkeys((style.column, style.text)):
        for size, points, smaller, smaller_points in style.sizes:
            if _points(columns, points, smaller_points, style) <= room:
                return _Fit(size, smaller, room > style.column, (tuple(columns),))
    size, points, smaller, smaller_points = style.sizes[-1]
    found = [tuple(columns[:keys])]
    for column in columns[keys:]:
        wider = (*found[-1], column)
        if len(found[-1]) > keys and _points(wider, points, smaller_points, style) > style.text:
            found.append(tuple(columns[:keys]))
        found[-1] = (*found[-1], column)
    return _Fit(size, smaller, True, tuple(found))


def _points(columns: Sequence[_Column], size: float, smaller: float, style: Style) -> float:
    """How wide columns are together, without the gaps at both ends."""
    text = sum(column.points(size, smaller) for column in columns)
    return style.letters * text + 2 * GAP * (len(columns) - 1)


def _tabular(table: Table, columns: Sequence[_Column], fit: _Fit, place: int) -> list[str]:
    """One part below the other, each with its own rules."""
    depth = max(len(column.heading) for column in columns)
    headings = [" & ".join(_heading(column, i, depth) for column in columns) + r" \\" for i in range(depth)]
    return [
        *([r"\par\medskip"] if place else []),
        rf"\begin{{tabular}}{{@{{}}{''.join(map(_spec, columns))}@{{}}}}",
        r"\toprule",
        *headings,
        r"\midrule",
        *(line for i, row in enumerate(table.rows) for line in _row(row, i, columns, table, fit)),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _spec(column: _Column) -> str:
    """Values to the right, so that their digits stand below each other, with intervals beside them."""
    if not column.numeric:
        return "l"
    return rf"r@{{\hspace{{{BETWEEN:g}em}}}}l" if column.has_intervals else "r"


def _heading(column: _Column, line: int, depth: int) -> str:
    """The heading's line, the last one at the bottom."""
    place = line - depth + len(column.heading)
    text = escape(column.heading[place]) if place >= 0 else ""
    return rf"\multicolumn{{2}}{{c}}{{{text}}}" if column.has_intervals else text


def _row(row: Sequence[Cell], place: int, columns: Sequence[_Column], table: Table, fit: _Fit) -> list[str]:
    """The row, under comments that name the stages behind it and say why values are absent.

    One that begins with an empty cell belongs to the row before; groups of such rows stand apart.
    """
    grouped = any(other[0].value == "" for other in table.rows)
    gap = [r"\addlinespace"] if grouped and place and row[0].value != "" else []
    sources = tuple(sorted({source for cell in row for source in cell.sources}))
    absent = [
        f"% {' '.join(name.split())}: {' '.join(cell.reason.split())}"
        for name, cell in zip(table.columns, row, strict=True)
        if cell.value is None and cell.reason
    ]
    cells = " & ".join(_cell(column, place, fit) for column in columns)
    return [*gap, *sources_comment(sources), *absent, cells + r" \\"]


def _cell(column: _Column, place: int, fit: _Fit) -> str:
    """A value, bold where it is, and its interval in a column of its own."""
    value, interval = column.values[place], column.intervals[place]
    text = number(value) if column.numeric and value != ABSENT else escape(value)
    text = rf"\textbf{{{text}}}" if column.bold[place] else text
    if not column.has_intervals:
        return text
    return rf"{text} & {{\{fit.smaller} {number(interval)}}}" if interval else f"{text} &"
