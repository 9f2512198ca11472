"""Text of models, servers, files and users, made harmless for a terminal and for Markdown."""

from __future__ import annotations

import re

KEPT = "\n\t"


def visible(text: str) -> str:
    """`text` with an escape (`\\x1b`) for what moves a cursor, colours letters or turns them round.

    A carriage return, with which progress bars write over their line, begins a new one.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c.isprintable() or c in KEPT else _escaped(c) for c in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def in_markdown(text: str) -> str:
    """Text that Markdown shows as it is: no link, no image, no HTML, no cell's end, on one line."""
    text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return re.sub(r"([\\`*\[\]|$~]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def as_paragraph(text: str) -> str:
    """The same where a line begins with it: no heading, no list, no block of code."""
    return re.sub(r"^\s*(?:([#+=-])|(\d+)([.)]))", _not_a_list, in_markdown(text).lstrip())


def _not_a_list(start: re.Match[str]) -> str:
    return f"\\{start[1]}" if start[1] else f"{start[2]}\\{start[3]}"
