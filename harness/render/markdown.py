"""Markdown: `report.md`, with the figures beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.tables import Cell, Figure, FirstPage, Report, Section, Statement, Table
from harness.units import for_readers, plain


def render(report: Report, folder: Path) -> list[Path]:
    """Write `report.md`."""
    parts = [f"# {escape(report.title)}", *(_first(report.first) if report.first else ())]
    in_full = _list(report.summary)
    if report.first is None:
        parts.append(in_full)
    for part, sections in report.parts():
        if part:
            parts.append(f"## {escape(part)}")
        parts += [text for section in sections for text in _section(section, "###" if part else "##")]
        if not part and report.first is not None:
            parts += ["## The answers in full", in_full]
    if report.methods:
        parts += ["## Methods", " ".join(escape(_cited(s)) for s in report.methods)]
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [path]


def _first(first: FirstPage) -> list[str]:
    """The question, the answers, what makes them less sure, and what to do next."""
    warnings = [f"**Warning:** {escape(text)}" for text in first.warnings]
    return [escape(first.question), _list(first.answers), *warnings, _list(first.next_steps)]


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)


def _section(section: Section, heading: str) -> list[str]:
    return [
        *([f"{heading} {escape(section.title)}"] if section.title != section.part else []),
        *(escape(paragraph) for paragraph in section.paragraphs),
        *(_table(table) for table in section.tables),
        *(_figure(figure) for figure in section.figures),
    ]


def _cited(statement: Statement) -> str:
    """The statement with its keys in `references.bib`."""
    return statement.text + (f" ({', '.join(statement.cites)})" if statement.cites else "")


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return re.sub(r"([\\`*\[\]|$~]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def _cell(cell: Cell) -> str:
    text = escape(plain(cell))
    return f"**{text}**" if cell.bold else text


def _table(table: Table) -> str:
    table = for_readers(table)
    right = [all(r[i].kind != "text" for r in table.rows) for i in range(len(table.columns))]
    lines = [
        f"**{escape(table.title)}**",
        "",
        "| " + " | ".join(escape(c) for c in table.columns) + " |",
        "| " + " | ".join("---:" if r else "---" for r in right) + " |",
    ]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in table.rows]
    return "\n".join(lines) + ("\n\n" + " ".join(escape(n) for n in table.notes) if table.notes else "")


def _figure(figure: Figure) -> str:
    return f"![{escape(figure.title)}](figures/{figure.name}.svg)\n\n{escape(figure.caption)}"
