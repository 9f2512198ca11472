"""Text for the page: escaped, foldable parts with their anchors, and JSON that cannot end its element."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

_AFTER = re.compile(r"(?<=\w[_./@:])(?=[^\W\d])")
"""Where a long name may go on in the next line, such as `lm_eval/embedded_choice.acc`; never in a number."""


def escaped(plain: str) -> str:
    """Text for element or attribute; what cannot be shown becomes a replacement character."""
    shown = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in plain)
    return escape(shown, quote=True)


def breakable(plain: str) -> str:
    """Text for an element that may be narrow."""
    return "<wbr>".join(map(escaped, _AFTER.split(plain)))


def as_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in; lone surrogates stay as escapes."""
    written = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def anchor(title: str) -> str:
    """What a link to a part of the page ends in."""
    return "section-" + "".join(c if c.isalnum() else "-" for c in title.lower())


def folded(title: str, content: str, teaser: str = "", heading: str = "h2") -> str:
    """A part that is closed at first, with a few words of what is in it."""
    head = f"<{heading}>{escaped(title)}</{heading}> {escaped(teaser)}".rstrip()
    return f'<details id="{anchor(title)}"><summary>{head}</summary>{content}</details>\n'
