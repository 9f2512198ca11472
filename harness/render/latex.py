"""LaTeX: every table of a report as `tables/<name>.tex` for an appendix, and the folder of a paper.

A report's tables are set at 8 points, as floats over the whole width (`table*` is `table` on a page of one
column) or, where they are long, as `longtable`, which asks for one column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from harness.errors import unknown_name
from harness.render import plots
from harness.render._compact import compact
from harness.render._layout import Column, lines, parts
from harness.render._styles import INCH, STYLES, Style
from harness.render._words import cell_text, escape, sources_comment, statement
from harness.tables import Cell, Figure, Macro, Paper, Report, Table
from harness.units import for_readers

PACKAGES = "array,booktabs,longtable"
POINTS, GAP = 8.0, 6.0
"""Of `\\footnotesize` on a page of 10 points, and what a column takes beside its text."""
TALL = 30
WRITTEN = "% Written by `harness paper`"
"""How a `paper.tex` begins that may be written over."""


def render(report: Report, folder: Path) -> list[Path]:
    """Write `tables/<name>.tex` for every table."""
    return [_write(folder / "tables" / f"{table.name}.tex", _table(table)) for table in report.tables()]


def styles() -> dict[str, str]:
    """The styles that a paper may have, with what each is like."""
    return {name: style.about for name, style in STYLES.items()}


def check_style(name: str) -> None:
    """Raise UserError for an unknown style."""
    if name not in STYLES:
        raise unknown_name("style", name, STYLES, where="--style")


def render_paper(paper: Paper, style_name: str, folder: Path) -> list[Path]:
    """Write compact tables, figures, macros, methods, bibliography and a `paper.tex` that holds them all.

    Raises UserError for an unknown style.
    """
    check_style(style_name)
    style = STYLES[style_name]
    texts = {f"tables/{table.name}.tex": compact(table, style) for table in paper.tables}
    texts |= {
        "macros.tex": "".join(map(_macro, paper.macros)),
        "methods.tex": "\n".join(["\\providecommand{\\citep}{\\cite}%", *map(statement, paper.methods), ""]),
        "references.bib": "\n".join(reference.bibtex for reference in paper.references),
        "paper.tex": _document(paper, style),
    }
    texts |= {f"figures/{figure.name}.tex": _float(figure, style) for figure in paper.figures}
    widths = {f.name: (style.text if _is_wide(f) else style.column) / INCH for f in paper.figures}
    written = [_write(folder / name, text) for name, text in texts.items()]
    return [*written, *plots.render_printed(paper.figures, folder / "figures", widths)]


def _is_wide(figure: Figure) -> bool:
    """Whether it takes the whole page: several panels, or a forest with its long names."""
    return len(figure.panels) > 1 or any(panel.is_wide for panel in figure.panels)


def _float(figure: Figure, style: Style) -> str:
    """The figure as a float with its caption, as wide as it was drawn."""
    kind = "figure*" if _is_wide(figure) and style.has_two_columns else "figure"
    caption = escape(f"{figure.title}. {figure.caption}".strip())
    lines_of = [
        *sources_comment(figure.sources),
        "% needs \\usepackage{graphicx}",
        rf"\begin{{{kind}}}[tbp]",
        rf"\centering\includegraphics{{figures/{figure.name}}}",
        rf"\caption{{{caption}}}\label{{fig:{figure.name}}}",
        rf"\end{{{kind}}}",
        "",
    ]
    return "\n".join(lines_of)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _macro(macro: Macro) -> str:
    """`\\newcommand{\\orpoTime}{...}`, with `Low` and `High` where there is an interval."""
    cell = macro.cell
    parts_of = {"": dataclasses.replace(cell, low=None, high=None, bold=False)}
    if cell.low is not None and cell.high is not None:
        parts_of |= {
            "Low": dataclasses.replace(parts_of[""], value=cell.low),
            "High": dataclasses.replace(parts_of[""], value=cell.high),
        }
    commands = [
        rf"\newcommand{{\{macro.name}{ending}}}{{{cell_text(one)}}}" for ending, one in parts_of.items()
    ]
    return "\n".join([*sources_comment(cell.sources), *commands, ""])


def _document(paper: Paper, style: Style) -> str:
    """`paper.tex`: title, tables, methods and bibliography, for pdflatex."""
    tables = "".join(rf"\input{{tables/{table.name}}}" + "\n" for table in paper.tables)
    tables += "".join(rf"\input{{figures/{figure.name}}}" + "\n" for figure in paper.figures)
    refs = [rf"Table~\ref{{tab:{table.name}}}" for table in paper.tables]
    refs += [rf"Figure~\ref{{fig:{figure.name}}}" for figure in paper.figures]
    shown = ", ".join(refs[:-1]) + " and " * (len(refs) > 1) + refs[-1]
    return (
        f"{WRITTEN}, which writes it again: your text goes into a file of its own.\n"
        "% pdflatex paper; bibtex paper; pdflatex paper; pdflatex paper\n"
        "% For a paper of yours: \\usepackage{booktabs,graphicx} and \\input{macros} in its preamble, and\n"
        "% \\input{tables/main}, \\input{figures/...} and \\input{methods} where they belong.\n"
        f"{style.preamble}\\input{{macros}}\n\n\\title{{{escape(paper.title)}}}\n\\date{{}}\n\n"
        f"\\begin{{document}}\n\\maketitle\n\n\\section{{Results}}\n"
        f"The results are in {shown}.\n{tables}\n\\section{{Methods}}\n\\input{{methods}}\n\n"
        "\\bibliographystyle{plainnat}\n\\bibliography{references}\n\n\\end{document}\n"
    )


def _table(table: Table) -> str:
    """The table, in as many parts as its width takes."""
    table = for_readers(table)
    room = min(style.text for style in STYLES.values()) / POINTS
    found = parts(table, room, GAP / POINTS)
    asked = [f"% needs \\usepackage{{{PACKAGES}}}"]
    return "\n".join(
        [*asked, *(line for i, part in enumerate(found) for line in _part(table, part, i, room)), ""]
    )


def _part(table: Table, columns: list[Column], number_of: int, room: float) -> list[str]:
    """One part, captioned as what it continues; notes stand under the first."""
    first = number_of == 0
    caption = escape(table.title) + ("" if first else " (continued)")
    label = rf"\label{{tab:{table.name}}}" if first else ""
    notes = table.notes if first else ()
    note = [rf"\par\smallskip\raggedright {escape(' '.join(notes))}"] if notes else []
    spec = "".join(_spec(column, room) for column in columns)
    heading = [" & ".join(_heading(column) for column in columns) + r" \\", r"\midrule"]
    rows = [line for row in table.rows for line in _row(row, columns)]
    titled = rf"\caption{{{caption}}}{label}"
    size = rf"\footnotesize\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}"
    if lines(table, columns) > TALL:
        return [
            rf"{{{size}\setlength{{\LTcapwidth}}{{\linewidth}}",
            rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}",
            rf"{titled}\\",
            *(r"\toprule", *heading, r"\endfirsthead"),
            *(r"\toprule", *heading, r"\endhead"),
            *rows,
            r"\bottomrule",
            r"\end{longtable}",
            *([r"\noindent", *note] if note else []),
            r"\par}",
        ]
    return [
        r"\begin{table*}[tp]",
        rf"\centering{size}",
        titled,
        rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
        *(r"\toprule", *heading, *rows, r"\bottomrule"),
        r"\end{tabular}",
        *note,
        r"\end{table*}",
    ]


def _spec(column: Column, room: float) -> str:
    """Figures to the right; text that is too long breaks into lines."""
    if column.wrapped is None:
        return "r" if column.numeric else "l"
    return rf">{{\raggedright\arraybackslash}}p{{{column.wrapped / room:.3f}\linewidth}}"


def _heading(column: Column) -> str:
    if column.wrapped is not None or len(column.heading) == 1:
        return escape(" ".join(column.heading))
    stacked = r"\\".join(map(escape, column.heading))
    return rf"\shortstack[{'r' if column.numeric else 'l'}]{{{stacked}}}"


def _row(row: Sequence[Cell], columns: Sequence[Column]) -> list[str]:
    """The row, under a comment that names the stages behind it."""
    shown = [row[column.index] for column in columns]
    sources = tuple(sorted({source for cell in shown for source in cell.sources}))
    return [*sources_comment(sources), " & ".join(map(cell_text, shown)) + r" \\"]
