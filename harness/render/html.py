"""HTML: `report.html`, one file that asks nothing of any other: tables to sort, figures to read, answers.

Everything that came from a model or a user is escaped, or travels as JSON that the page's script shows
as text. The page's own policy forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.render._html_answers import answers_part, exchanges_data
from harness.render._html_table import html_table
from harness.render._html_text import anchor, as_json, breakable, escaped, folded
from harness.render._svg import svg
from harness.tables import Figure, Report, Section

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""No request, and no script but the page's own, whose digest is filled in."""
IN_FULL = "The answers in full"


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
<title>{escaped(report.title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header><h1>{escaped(report.title)}</h1>{_first(report)}</header>
<main id="main">
{"".join(_part(part, sections) for part, sections in report.parts())}
{_in_full(report)}
{_methods(report)}
{answers_part(report.exchanges)}
</main>
<dialog id="source" aria-label="Where a figure comes from"><div></div>
<button type="button" data-close>Close</button></dialog>
<dialog id="zoom" aria-label="Figure, enlarged"><div class="tools">
<button type="button" data-zoom="0.8">Closer</button><button type="button" data-zoom="1.25">Farther</button>
<button type="button" data-close>Close</button></div><div class="large"></div></dialog>
<div id="tip" role="status" aria-live="polite" hidden></div>
<script type="application/json" id="provenance">{as_json(report.data.get("provenance") or {})}</script>
<script type="application/json" id="exchanges">{as_json(exchanges_data(report.exchanges))}</script>
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
        f'<p class="question">{escaped(first.question)}</p>{_list(first.answers, "summary")}{warnings}'
        f"{_next(first.next_steps)}"
    )


def _next(steps: Sequence[str]) -> str:
    """What each command is for, and the command, word by word."""
    told = (step.partition(": ") for step in steps)
    items = (f"<li>{escaped(what)}: <code>{_command(command)}</code></li>" for what, _, command in told)
    return f'<ul class="next">{"".join(items)}</ul>'


def _command(command: str) -> str:
    return " ".join(f"<span>{breakable(word)}</span>" for word in command.split(" "))


def _list(sentences: Sequence[str], css: str) -> str:
    return f'<ul class="{css}">{"".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)}</ul>'


def _in_full(report: Report) -> str:
    """The sentences that the short answers stand for."""
    if report.first is None:
        return ""
    return folded(IN_FULL, _list(report.summary, "full"))


def _part(part: str, sections: Sequence[Section]) -> str:
    """Sections, folded under the name of their part where they have one."""
    if not part:
        return "".join(_section(section, 2) for section in sections)
    teaser = "; ".join(section.teaser for section in sections if section.teaser)
    return folded(part, "".join(_section(section, 3) for section in sections), teaser)


def _section(section: Section, level: int) -> str:
    """What a section holds, with a heading of a level; the one that its part is named after has none."""
    title = escaped(section.title)
    untitled = section.title == section.part
    place = "" if untitled else f' id="{anchor(section.title)}"'
    head = "" if untitled else f"<h{level}>{title}</h{level}>"
    parts = [f"<section{place}>{head}"]
    parts += [f"<p>{escaped(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [html_table(table, level if untitled else level + 1) for table in section.tables]
    parts += [_figure(figure) for figure in section.figures]
    return "".join([*parts, "</section>\n"])


def _figure(figure: Figure) -> str:
    return (
        f'<figure id="f-{escaped(figure.name)}"><div class="panels">{svg(figure)}</div>'
        f"<figcaption>{escaped(figure.title)}. {escaped(figure.caption)} "
        '<button type="button" class="enlarge">Enlarge</button></figcaption></figure>'
    )


def _methods(report: Report) -> str:
    if not report.methods:
        return ""
    text = " ".join(escaped(statement.text) for statement in report.methods)
    cited = "".join(f"<pre>{escaped(reference.bibtex)}</pre>" for reference in report.references)
    return folded("Methods", f"<p>{text}</p><h3>BibTeX</h3>{cited}")
