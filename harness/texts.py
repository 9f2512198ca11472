"""Text of models, servers, files and users, made harmless for a terminal."""

from __future__ import annotations

KEPT = "\n\t"


def visible(text: str) -> str:
    """`text` with an escape (`\\x1b`) for what moves a cursor, colours letters or turns them round.

    A carriage return, with which progress bars write over their line, begins a new one.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c.isprintable() or c in KEPT else _escaped(c) for c in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
