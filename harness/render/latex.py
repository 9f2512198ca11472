"""LaTeX: one booktabs table a file in `tables/`, ready for `\\input`.

`reports/templates/paper.tex` shows how to use them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from harness.tables import Cell, Macro, Report, Statement, Table
from harness.units import absent_notes, plain

WIDE, TALL, NARROW, CROWDED = 100, 30, 10, 8
LONG = 24
PACKAGES = "booktabs,graphicx,siunitx,xltabular"
_NUMBER = re.compile(r"(?P<number>-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?: ?(?P<unit>%|[A-Za-z]+))?")
_INNER = re.compile(r"(?<=[A-Za-z0-9])[./@](?=[A-Za-z])")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_\allowbreak{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
}


def render(report: Report, folder: Path) -> list[Path]:
    """Write `tables/<name>.tex` for every table, `macros.tex`, `methods.tex` and `references.bib`."""
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in report.tables():
        path = target / f"{table.name}.tex"
        path.write_text(_table(table), encoding="utf-8")
        paths.append(path)
    texts = {
        "macros.tex": "".join(_macro(macro) for macro in report.macros),
        "methods.tex": "\n".join(_statement(statement) for statement in report.methods) + "\n",
        "references.bib": "\n".join(reference.bibtex for reference in report.references),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*paths, *(folder / name for name in texts)]


def _macro(macro: Macro) -> str:
    """`\\newcommand{\\orpoTimeRatio}{...}`, with `Low` and `High` where there is an interval."""
    cell = macro.cell
    named = f"% stages: {' '.join(cell.sources)}\n" if cell.sources else ""
    parts = {"": dataclasses.replace(cell, low=None, high=None, bold=False)}
    if cell.low is not None and cell.high is not None:
        parts |= {
            "Low": dataclasses.replace(parts[""], value=cell.low),
            "High": dataclasses.replace(parts[""], value=cell.high),
        }
    commands = [rf"\newcommand{{\{macro.name}{ending}}}{{{_cell(one)}}}" for ending, one in parts.items()]
    return named + "\n".join(commands) + "\n"


def _statement(statement: Statement) -> str:
    text = escape(statement.text)
    if not statement.cites:
        return text
    return rf"{text.removesuffix('.')}~\cite{{{','.join(statement.cites)}}}."


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; what is not printable ASCII-safe becomes a question mark.

    Names may break after a dot or a slash within them, so that they fit narrow columns.
    """
    text = "".join(c if c.isprintable() else "?" for c in text)
    text = "".join(_SPECIAL.get(c, c) for c in text)
    return _INNER.sub(r"\g<0>\\allowbreak{}", text)


def _cell(cell: Cell) -> str:
    """Numbers and units in siunitx's words; bold where the cell is."""
    shown = plain(cell)
    numeric = isinstance(cell.value, int | float)
    text = _NUMBER.sub(_quantity, shown).replace("[", "{[}").replace("]", "{]}") if numeric else escape(shown)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    return text


def _quantity(match: re.Match[str]) -> str:
    number = match["number"].replace(",", "")
    unit = match["unit"]
    if not unit:
        return rf"\num{{{number}}}"
    return rf"\qty{{{number}}}{{{unit.replace('%', chr(92) + 'percent')}}}"


def _column(table: Table, index: int) -> str:
    """Numbers to the right; text that is long breaks into lines."""
    cells = [row[index] for row in table.rows]
    if all(cell.kind != "text" for cell in cells):
        return "r"
    longest = max(len(plain(cell)) for cell in cells)
    return r">{\raggedright\arraybackslash}X" if longest > LONG else "l"


def _table(table: Table) -> str:
    """A float, scaled to the line where it is wider; one longer than a page breaks over pages."""
    columns = [_column(table, i) for i in range(len(table.columns))]
    scaled = _letters(table, columns) > WIDE
    if scaled:
        columns = [c if c == "r" else "l" for c in columns]
    stretched = any("X" in c for c in columns)
    header = [" & ".join(escape(c) for c in table.columns) + r" \\", r"\midrule"]
    body = [line for row in table.rows for line in _row(row)]
    notes = [*table.notes, *absent_notes(table.rows, table.columns)]
    note = rf"\par\footnotesize {escape(' '.join(notes))}" if notes else ""
    caption = rf"\caption{{{escape(table.title)}}}\label{{tab:{table.name}}}"
    if _lines(table, columns) > TALL:
        lines = _over_pages(columns, caption, header, body, note)
    else:
        kind = "tabularx" if stretched else "tabular"
        width = r"{\linewidth}" if stretched else ""
        crowded = stretched and len(columns) >= CROWDED
        lines = [
            r"\begin{table}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}" if crowded else r"\centering\small",
            caption,
            *([r"\resizebox{\linewidth}{!}{%"] if scaled else []),
            rf"\begin{{{kind}}}{width}{{{''.join(columns)}}}",
            r"\toprule",
            *header,
            *body,
            r"\bottomrule",
            rf"\end{{{kind}}}" + ("}" if scaled else ""),
            *([note] if note else []),
            r"\end{table}",
        ]
    return "\n".join([f"% needs \\usepackage{{{PACKAGES}}}", *lines, ""])


def _lines(table: Table, columns: list[str]) -> int:
    """About how many lines the rows take, columns that break into lines sharing what is left of the width."""
    stretched = [i for i, column in enumerate(columns) if "X" in column]
    if not stretched:
        return len(table.rows)
    width = max(NARROW, (WIDE - _letters(table, columns)) // len(stretched))
    return sum(max(1, *(-(-len(plain(row[i])) // width) for i in stretched)) for row in table.rows)


def _letters(table: Table, columns: list[str]) -> int:
    """The longest row's letters, those of columns that break into lines left out."""
    widths = [
        max(len(name), *(len(plain(row[i])) for row in table.rows)) + 3
        for i, name in enumerate(table.columns)
        if table.rows and "X" not in columns[i]
    ]
    return sum(widths)


def _over_pages(columns: list[str], caption: str, header: list[str], body: list[str], note: str) -> list[str]:
    """`xltabular`, which repeats its heading on every page."""
    spec = "".join(columns) if any("X" in c for c in columns) else "".join(columns[:-1]) + "X"
    return [
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{xltabular}}{{\linewidth}}{{{spec}}}",
        caption + r"\\",
        r"\toprule",
        *header,
        r"\endfirsthead",
        r"\toprule",
        *header,
        r"\endhead",
        *body,
        r"\bottomrule",
        r"\end{xltabular}",
        f"{note}}}",
    ]


def _row(row: Sequence[Cell]) -> list[str]:
    """The row, under a comment that names the stages behind it."""
    sources = sorted({s for cell in row for s in cell.sources})
    named = [f"% stages: {' '.join(sources)}"] if sources else []
    return [*named, " & ".join(_cell(c) for c in row) + r" \\"]
