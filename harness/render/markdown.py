"""Markdown: `report.md`, with the figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.tables import Cell, Figure, FirstPage, Report, Section, Statement, Table
from harness.texts import as_paragraph, in_markdown
from harness.units import for_readers, plain


def render(report: Report, folder: Path) -> list[Path]:
    """Write `report.md`."""
    parts = [f"# {in_markdown(report.title)}", *(_first(report.first) if report.first else ())]
    in_full = _list(report.summary)
    if report.first is None:
        parts.append(in_full)
    for part, sections in report.parts():
        if part:
            parts.append(f"## {in_markdown(part)}")
        parts += [text for section in sections for text in _section(section, "###" if part else "##")]
        if not part and report.first is not None:
            parts += ["## The answers in full", in_full]
    if report.methods:
        parts += ["## Methods", " ".join(in_markdown(_cited(s)) for s in report.methods)]
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [path]


def _first(first: FirstPage) -> list[str]:
    """The question, the answers, what makes them less sure, and what to do next."""
    warnings = [f"**Warning:** {in_markdown(text)}" for text in first.warnings]
    return [as_paragraph(first.question), _list(first.answers), *warnings, _list(first.next_steps)]


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {as_paragraph(sentence)}" for sentence in sentences)


def _section(section: Section, heading: str) -> list[str]:
    return [
        *([f"{heading} {in_markdown(section.title)}"] if section.title != section.part else []),
        *(as_paragraph(paragraph) for paragraph in section.paragraphs),
        *(_table(table) for table in section.tables),
        *(_figure(figure) for figure in section.figures),
    ]


def _cited(statement: Statement) -> str:
    """The statement with its keys in `references.bib`."""
    return statement.text + (f" ({', '.join(statement.cites)})" if statement.cites else "")


def _cell(cell: Cell) -> str:
    text = in_markdown(plain(cell))
    return f"**{text}**" if cell.bold else text


def _table(table: Table) -> str:
    table = for_readers(table)
    right = [all(r[i].kind != "text" for r in table.rows) for i in range(len(table.columns))]
    lines = [
        f"**{in_markdown(table.title)}**",
        "",
        "| " + " | ".join(in_markdown(c) for c in table.columns) + " |",
        "| " + " | ".join("---:" if r else "---" for r in right) + " |",
    ]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in table.rows]
    return "\n".join(lines) + ("\n\n" + " ".join(in_markdown(n) for n in table.notes) if table.notes else "")


def _figure(figure: Figure) -> str:
    return f"![{in_markdown(figure.title)}](figures/{figure.name}.svg)\n\n{in_markdown(figure.caption)}"
