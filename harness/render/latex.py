"""LaTeX: one booktabs table a file in `tables/`, ready for `\\input`.

`reports/templates/paper.tex` shows how to use them.
"""

from __future__ import annotations

from pathlib import Path

from harness.render._units import absent_notes, plain
from harness.tables import Cell, Report, Table

WIDE = 8
LONG, LONG_WIDTH = 45, 0.35
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
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
    """Write `tables/<name>.tex` for every table."""
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in report.tables():
        path = target / f"{table.name}.tex"
        path.write_text(_table(table), encoding="utf-8")
        paths.append(path)
    return paths


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; what is not printable ASCII-safe becomes a question mark."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return "".join(_SPECIAL.get(c, c) for c in text)


def _cell(cell: Cell) -> str:
    text = escape(plain(cell))
    text = rf"\textbf{{{text}}}" if cell.bold else text
    return text


def _column(table: Table, index: int, wide: bool) -> str:
    """Numbers to the right; long text breaks into lines where the table keeps its own width."""
    cells = [row[index] for row in table.rows]
    if all(cell.kind != "text" for cell in cells):
        return "r"
    longest = max(len(plain(cell)) for cell in cells)
    return rf"p{{{LONG_WIDTH}\linewidth}}" if longest > LONG and not wide else "l"


def _table(table: Table) -> str:
    wide = len(table.columns) > WIDE
    spec = "".join(_column(table, i, wide) for i in range(len(table.columns)))
    lines = [
        f"% needs \\usepackage{{booktabs{',graphicx' if wide else ''}}}",
        r"\begin{table}[t]",
        r"\centering\small",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        *([r"\resizebox{\linewidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        " & ".join(escape(c) for c in table.columns) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        sources = sorted({s for cell in row for s in cell.sources})
        if sources:
            lines.append(f"% stages: {' '.join(sources)}")
        lines.append(" & ".join(_cell(c) for c in row) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    notes = [*table.notes, *absent_notes(table.rows, table.columns)]
    if notes:
        lines.append(rf"\par\footnotesize {escape(' '.join(notes))}")
    return "\n".join([*lines, r"\end{table}", ""])
