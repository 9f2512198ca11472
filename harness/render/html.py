"""HTML: `report.html`, one file that asks nothing of any other: tables to sort, figures to read, answers.

Everything that came from a model or a user is escaped, or travels as JSON that the page's script shows
as text. The page's own policy forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from harness.render._svg import svg
from harness.tables import Cell, Exchange, Figure, Reply, Report, Section, Table
from harness.units import absence, for_readers, plain, rounded

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""No request, and no script but the page's own, whose digest is filled in."""
IN_FULL = "The answers in full"
WIDE = 8
"""Tables of more columns than this are printed across."""
FILTERED = 10
NUMBER = ' class="number"'


def render(report: Report, folder: Path) -> list[Path]:
    """Write `report.html`."""
    path = folder / "report.html"
    path.write_text(page(report), encoding="utf-8")
    return [path]


def page(report: Report) -> str:
    """The whole page."""
    beside = Path(__file__).parent
    style, script = ((beside / f"_page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">
<meta name="color-scheme" content="light dark">
<title>{_text(report.title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header><h1>{_text(report.title)}</h1>{_first(report)}</header>
<main id="main">
{"".join(_part(part, sections) for part, sections in report.parts())}
{_in_full(report)}
{_methods(report)}
{_answers(report.exchanges)}
</main>
<dialog id="source" aria-label="Where a figure comes from"><div></div>
<button type="button" data-close>Close</button></dialog>
<dialog id="zoom" aria-label="Figure, enlarged"><div class="tools">
<button type="button" data-zoom="0.8">Closer</button><button type="button" data-zoom="1.25">Farther</button>
<button type="button" data-close>Close</button></div><div class="large"></div></dialog>
<div id="tip" role="status" aria-live="polite" hidden></div>
<script type="application/json" id="provenance">{_json(report.data.get("provenance") or {})}</script>
<script type="application/json" id="exchanges">{_json(_exchanges(report.exchanges))}</script>
<script>{script}</script>
</body>
</html>
"""


def _policy(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return POLICY.format(digest=base64.b64encode(digest).decode("ascii"))


def _first(report: Report) -> str:
    """The short answers with their warnings, or all sentences where there are no short ones."""
    first = report.first
    if first is None:
        return _list(report.summary, "summary")
    warnings = _list(first.warnings, "warnings") if first.warnings else ""
    return (
        f'<p class="question">{_text(first.question)}</p>{_list(first.answers, "summary")}{warnings}'
        f"{_list(first.next_steps, 'next')}"
    )


def _list(sentences: Sequence[str], css: str) -> str:
    return f'<ul class="{css}">{"".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)}</ul>'


def _in_full(report: Report) -> str:
    """The sentences that the short answers stand for."""
    if report.first is None:
        return ""
    return _folded(IN_FULL, _list(report.summary, "full"))


def _part(part: str, sections: Sequence[Section]) -> str:
    """Sections, folded under the name of their part where they have one."""
    if not part:
        return "".join(_section(section, "h2") for section in sections)
    teaser = "; ".join(section.teaser for section in sections if section.teaser)
    return _folded(part, "".join(_section(section, "h3") for section in sections), teaser)


def _folded(title: str, content: str, teaser: str = "", heading: str = "h2") -> str:
    head = f"<{heading}>{_text(title)}</{heading}> {_text(teaser)}".rstrip()
    return f'<details id="{_anchor(title)}"><summary>{head}</summary>{content}</details>\n'


def _section(section: Section, heading: str) -> str:
    title = _text(section.title)
    place = "" if section.title == section.part else f' id="{_anchor(section.title)}"'
    head = f"<{heading}>{title}</{heading}>" if section.title != section.part else ""
    parts = [f"<section{place}>{head}"]
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [_table(table) for table in section.tables]
    parts += [_figure(figure) for figure in section.figures]
    return "".join([*parts, "</section>\n"])


def _table(table: Table) -> str:
    """A table with a header a row and a column, and one tab stop: arrow keys go from figure to figure."""
    table = for_readers(table)
    right = [
        all(r[i].kind != "text" or r[i].value is None for r in table.rows) for i in range(len(table.columns))
    ]
    heads = "".join(
        f'<th scope="col" aria-sort="none" data-name="{_text(c)}"{NUMBER * n}>'
        f'<button type="button" tabindex="{0 if i == 0 else -1}">{_text(c)}</button></th>'
        for i, (c, n) in enumerate(zip(table.columns, right, strict=True))
    )
    rows = "\n".join(_row(row, table.columns, right) for row in table.rows)
    notes = " ".join(_text(n) for n in table.notes)
    box = f'<input type="search" aria-controls="t-{_text(table.name)}">'
    search = f'<label class="filter">Filter rows {box}</label>' if len(table.rows) > FILTERED else ""
    wide = " wide" if len(table.columns) > WIDE else ""
    content = (
        f'{search}<div class="scroll{wide}">'
        f'<table id="t-{_text(table.name)}"><caption>{_text(table.title)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="notes">{notes}</p>'
    )
    return _folded(table.title, content, heading="h4") if table.folded else content


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
    text = f"<strong>{_text(shown)}</strong>" if cell.bold else _text(shown)
    attributes = NUMBER * number + f' data-label="{_text(column)}"'
    if isinstance(cell.value, int | float):
        attributes += f' data-value="{cell.value!r}"'
    if why := absence(cell):
        attributes += f' title="{_text(why)}"'
    if cell.sources:
        stages = _text(" ".join(cell.sources))
        label = _text(f"{name}: {shown}")
        text = (
            f'<button type="button" class="source" tabindex="-1" aria-label="{label}" '
            f'data-stages="{stages}">{text}</button>'
        )
    return f'<th scope="row"{attributes}>{text}</th>' if header else f"<td{attributes}>{text}</td>"


def _figure(figure: Figure) -> str:
    return (
        f'<figure id="f-{_text(figure.name)}"><div class="panels">{svg(figure)}</div>'
        f"<figcaption>{_text(figure.title)}. {_text(figure.caption)} "
        '<button type="button" class="enlarge">Enlarge</button></figcaption></figure>'
    )


def _methods(report: Report) -> str:
    if not report.methods:
        return ""
    text = " ".join(_text(statement.text) for statement in report.methods)
    cited = "".join(f"<pre>{_text(reference.bibtex)}</pre>" for reference in report.references)
    return _folded("Methods", f"<p>{text}</p><h3>BibTeX</h3>{cited}")


def _answers(exchanges: Sequence[Exchange]) -> str:
    if not exchanges:
        return ""
    contests = dict.fromkeys(name for e in exchanges for name, _ in e.outcomes)
    options = "".join(f"<option>{_text(name)}</option>" for name in contests)
    content = f"""<p>{len(exchanges)} prompts at the first seed, every arm's answer side by side.</p>
<form id="browse">
<label>Contest <select name="contest"><option value="">all</option>{options}</select></label>
<label>Outcome <select name="outcome"><option value="">any</option><option>won</option><option>lost</option>
<option>tied</option></select></label>
<label><input type="checkbox" name="differ"> only where arms differ</label>
<label>Words <input type="search" name="words"></label>
<output name="count"></output></form>
<ol id="answers"></ol>
<p class="pages"><button type="button" data-page="-1">Previous</button> <span id="place"></span>
<button type="button" data-page="1">Next</button></p>"""
    return _folded("Answers", content)


def _exchanges(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """Names once, and by their place after: contests and outcomes (w, l, t or -), metrics and marks."""
    contests = list(dict.fromkeys(name for e in exchanges for name, _ in e.outcomes))
    metrics = list(dict.fromkeys(name for e in exchanges for r in e.replies for name, _ in r.marks))
    return {
        "contests": contests,
        "metrics": metrics,
        "items": [
            {
                "id": exchange.id,
                "prompt": exchange.prompt,
                "outcomes": "".join(dict(exchange.outcomes).get(name, "-")[0] for name in contests),
                "replies": [_reply(reply, metrics) for reply in exchange.replies],
            }
            for exchange in exchanges
        ],
    }


def _reply(reply: Reply, metrics: Sequence[str]) -> dict[str, Any]:
    marks = dict(reply.marks)
    kept = [None if (value := marks.get(name)) is None else float(rounded(value, 4)) for name in metrics]
    judged = {"judge": reply.judge, "judgment": reply.judgment}
    return {
        "arm": reply.arm,
        "text": reply.text,
        "marks": kept,
        **{name: text for name, text in judged.items() if text is not None},
    }


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in; lone surrogates stay as escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(text: str) -> str:
    """Text for element or attribute; what cannot be shown becomes a replacement character."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    return escape(shown, quote=True)


def _anchor(title: str) -> str:
    return "section-" + "".join(c if c.isalnum() else "-" for c in title.lower())
