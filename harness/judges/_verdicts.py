"""What a judge's text says: which answer is better, or a grade. Ambiguous text says nothing (None).

A verdict in double brackets counts before anything else; then a label or a lone letter; then a plain
sentence. Where two places of the same rank contradict each other, the text is unreadable: a wrong verdict
is silent, an unreadable one is counted.

FastChat (Zheng et al. 2023, arXiv 2306.05685, `fastchat/llm_judge/common.py`) looks for `[[A]]`, then
`[[B]]`, then `[[C]]`, and for the first `[[5]]`, else the first `[5]`. The two agree wherever a text holds
one verdict. Ours differs where it holds several: brackets that name different winners are unreadable, the
last grade counts (judges repeat the prompt's example first), and `[1]` counts at the very end alone, since
elsewhere it is a footnote or a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LOWEST, HIGHEST = 1.0, 10.0
"""The scale that judges are asked to grade on."""

_MARKS = re.compile(r"[*_`\"\u201c\u201d]")
_BLANKS = re.compile(r"\s{3,}")
_NOUN = r"(?:(?i:answer|assistant|response|option|output|model)\s+)"
_WHY = r"(?:because|since|as)\b"
_END = rf"['\u2019)\]]*(?=\s*(?:$|[\n.;!(]|\s[-\u2013\u2014]\s|,?\s+{_WHY}))"
_SIDE = rf"(?:{_NOUN}?(?P<side>[AB])\b)"
_BRACKETS = re.compile(r"\[\[\s*(A|B|C|T|tie)\s*\]\]", re.IGNORECASE)
_LABEL = re.compile(
    r"\b(?i:answer|verdict|winner|choice|decision|judge?ment|preference|better(?:\s+(?:answer|one|response))?)"
    r"(?i:\s*[:=]\s*|\s+is\s*:?\s+)"
    rf"['\u2018(\[]*{_NOUN}?(?:(?P<side>[ABT])|(?P<tie>(?i:(?:an?\s+)?(?:tie|draw))))\b{_END}"
)
_LONE = re.compile(rf"(?:^|\n)[^\w\n]*{_NOUN}?(?P<side>[ABTabt])\b{_END}")
_HOW = (
    r"(?:(?:clearly|slightly|much|far|significantly|somewhat|a\s+bit|a\s+little|marginally|overall|the"
    r"|by\s+far)\s+)*"
)
_QUALITY = r"(?:helpful|correct|honest|accurate|complete|useful|relevant|truthful|informative|thorough)"
_BETTER = rf"(?:better|best|superior|preferable|preferred|stronger|winner|more\s+{_QUALITY})\b"
_WORSE = rf"(?:worse|worst|inferior|weaker|loser|less\s+{_QUALITY})\b"
_OTHER_TOO = rf"\s*(?:or|and|/|,)\s*{_NOUN}?[AB]\b"
_IS = r"\s+(?:is|was|seems|looks|appears)\s+"
_SENTENCES = (
    (re.compile(rf"{_SIDE}{_IS}{_HOW}{_BETTER}"), 1),
    (re.compile(rf"{_SIDE}{_IS}{_HOW}{_WORSE}"), -1),
    (re.compile(rf"{_SIDE}\s+{_HOW}wins\b"), 1),
    (re.compile(rf"{_SIDE}\s+{_HOW}loses\b"), -1),
    (re.compile(rf"\b(?i:prefer|choose|pick|select|favou?r)\s+{_SIDE}(?!{_OTHER_TOO})"), 1),
    (re.compile(rf"{_SIDE}\s*>+\s*{_NOUN}?[AB]\b"), 1),
    (re.compile(rf"{_SIDE}\s*<+\s*{_NOUN}?[AB]\b"), -1),
)
_TIES = (
    re.compile(r"^[^\w]*(?:it(?:['\u2019]s|\s+is)\s+)?(?:an?\s+)?(?:tie|draw|tied)\b(?!-)", re.IGNORECASE),
    re.compile(r"\b(?:call|is|be|end\s+in)\s+(?:it\s+)?(?:an?\s+)?(?:tie|draw)\b(?!-)", re.IGNORECASE),
    re.compile(
        r"\b(?:both|A\s+and\s+B|they|the\s+two)\b[^.\n]{0,30}\b(?:equal|equally|tied|comparable)\b",
        re.IGNORECASE,
    ),
    re.compile(r"\b[AB]\s*=+\s*[AB]\b"),
)
_NEITHER = re.compile(r"\bneither\b[^.\n]{0,20}\bis\s+better\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|hardly|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
_NUMBER = r"(\d+(?:\.\d+)?)"
_OF_TEN = r"(?:\s*(?:/|out\s+of)\s*10\b)?"
_ALONE = r"(?!\.\d|\s*(?:/|\d|[-\u2013]\s*\d|%|(?:or|to|out)\b))"
_GRADE_BRACKETS = re.compile(rf"\[\[\s*{_NUMBER}(?:\s*/\s*10)?\s*\]\]")
_GRADE_LABEL = re.compile(
    rf"\b(?:rating|grade|score)\b(?:\s*[:=]\s*|\s+is\s*:?\s+|\s+of\s+)\[?{_NUMBER}\b\]?{_OF_TEN}{_ALONE}",
    re.IGNORECASE,
)
_GRADE_AT_END = re.compile(rf"\[{_NUMBER}\]\W*$")
_GRADE_LONE = re.compile(rf"^[^\w\n-]*{_NUMBER}\b{_OF_TEN}\s*(?:\.?\s*$|\n|[.,;:]?\s+{_WHY})")


def read_preference(text: str) -> float | None:
    """1 where answer A is better, 0 for B, 0.5 for a tie, None where the text names no one winner."""
    plain = _plain(text)
    bracketed = _BRACKETS.findall(plain)
    if bracketed:
        return _one(_value(side) for side in bracketed)
    named = [*_LABEL.finditer(plain), *_LONE.finditer(plain)]
    if named:
        return _one(_value(match["side"] or "T") for match in named)
    if _NEITHER.search(plain):
        return 0.5
    return None if _NEGATION.search(plain) else _one(_of_sentences(plain))


def written_grade(text: str) -> float | None:
    """The grade from 1 to 10 that an explained judgment gives, None where it gives none.

    The last `[[8]]`; else `Rating: 8`, where all that are written agree; else a lone `[8]` at the end.
    """
    plain = _plain(text)
    bracketed = _GRADE_BRACKETS.findall(plain)
    if bracketed:
        return _on_the_scale(bracketed[-1])
    labelled = _GRADE_LABEL.findall(plain)
    if labelled:
        grade = _one(float(number) for number in labelled)
        return None if grade is None else _on_the_scale(grade)
    match = _GRADE_AT_END.search(plain)
    return _on_the_scale(match[1]) if match else None


def read_grade(text: str) -> float | None:
    """A written grade, or the number that the reply begins with and that stands alone there."""
    plain = _plain(text)
    if _GRADE_BRACKETS.search(plain) or _GRADE_LABEL.search(plain):
        return written_grade(text)
    match = _GRADE_LONE.match(plain)
    return _on_the_scale(match[1]) if match else None


def _plain(text: str) -> str:
    """The text without its markup, at most two blanks in a row: rules look for them in two places."""
    return _BLANKS.sub(lambda run: "\n\n" if "\n" in run[0] else "  ", _MARKS.sub("", text)).strip()


def _of_sentences(text: str) -> list[float]:
    values = [_turned(_value(m["side"]), way) for pattern, way in _SENTENCES for m in pattern.finditer(text)]
    return values + [0.5 for pattern in _TIES if pattern.search(text)]


def _value(side: str) -> float:
    return {"A": 1.0, "B": 0.0}.get(side.upper(), 0.5)


def _turned(value: float, way: int) -> float:
    return value if way > 0 else 1 - value


def _one(values: Iterable[float]) -> float | None:
    """The value that all agree on, None where they do not or there is none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _on_the_scale(number: str | float) -> float | None:
    return float(number) if LOWEST <= float(number) <= HIGHEST else None
