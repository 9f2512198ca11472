"""Text and figures in TeX's words.

No package is asked for, so that they stand in any paper and bold is bold: siunitx drops `\\textbf` around
its numbers, and its older versions know no `\\qty`.
"""

from __future__ import annotations

import re

from harness.tables import Cell, Statement
from harness.units import plain

LONG, PIECE = 20, 10
"""A word longer than LONG may break every PIECE letters."""
SPECIAL = {
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
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "†": r"\dag{}",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
    "²": r"$^2$",
    "\u2212": r"\textminus{}",
}
QUOTES_AND_DASHES = "\u2013\u2014\u2018\u2019\u201c\u201d\u2026"
LAST_LETTER = 0x17F
"""What lies beyond Latin Extended-A stands in no font of pdfTeX's."""
_INNER = re.compile(r"(?<=[A-Za-z0-9])[./@](?=[A-Za-z])")
_UNBROKEN = re.compile(rf"[A-Za-z0-9]{{{LONG + 1},}}")
_UNIT = re.compile(r"(?<=\d) (?=[A-Za-z])")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; what pdfTeX has no letter for becomes a question mark.

    Names may break after a dot or a slash within them and words that are long anywhere, so that they fit
    narrow columns.
    """
    text = "".join(c if c.isprintable() and _is_known(c) else "?" for c in text)
    text = _UNBROKEN.sub(lambda word: "\0".join(re.findall(f".{{1,{PIECE}}}", word[0])), text)
    text = "".join(SPECIAL.get(c, c) for c in text)
    return _INNER.sub(r"\g<0>\\allowbreak{}", text).replace("\0", r"\allowbreak{}")


def _is_known(letter: str) -> bool:
    return ord(letter) <= LAST_LETTER or letter in SPECIAL or letter in QUOTES_AND_DASHES


def cell_text(cell: Cell) -> str:
    """A cell as every format shows it, a number tied to its unit; bold where the cell is."""
    shown = plain(cell)
    text = number(shown) if isinstance(cell.value, int | float) else escape(shown)
    return rf"\textbf{{{text}}}" if cell.bold else text


def number(shown: str) -> str:
    """Figures with their unit; a minus is a minus and not a hyphen."""
    return _MINUS.sub(r"\\textminus{}", _UNIT.sub("~", escape(shown)))


def sources_comment(sources: tuple[str, ...]) -> list[str]:
    """A comment that names the stages behind what follows."""
    return [f"% stages: {' '.join(sources)}"] if sources else []


def statement(one: Statement) -> str:
    """A statement with its citations before the last full stop."""
    text = escape(one.text)
    return rf"{text.removesuffix('.')}~\citep{{{','.join(one.cites)}}}." if one.cites else text
