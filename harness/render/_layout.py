"""How wide columns are, which of them break into lines, and where a table wider than the page is cut."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.tables import Table
from harness.units import plain

NARROW, MIDDLE, WIDE = 0.31, 0.42, 0.88
DIGIT, CAPITAL, USUAL = 0.53, 0.75, 0.54
"""Ems of a letter in Latin Modern at 8 points, which runs wider than at 10, and than Times."""
BISECTIONS = 40
BOLD = 1.15
"""How much wider bold letters are."""
MINUS = "\u2212"
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_BREAKS = re.compile(r"[ \n]|(?<=[-_/.@])(?=[A-Za-z])")


def width(text: str, *, bold: bool = False) -> float:
    """About how many ems a line of text takes, at most."""
    return (BOLD if bold else 1.0) * sum(map(_letter, _MINUS.sub(MINUS, text)))


def _letter(letter: str) -> float:
    if letter in " .,:;'|!iljI":
        return NARROW
    if letter in "ftr()[]-/":
        return MIDDLE
    if letter in "mMwW%@†↑↓→±\u00d7" + MINUS:
        return WIDE
    if letter.isdigit():
        return DIGIT
    return CAPITAL if letter.isupper() else USUAL


def folded(text: str, ems: float) -> list[str]:
    """The words of a heading in lines of at most so many ems; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and width(f"{lines[-1]} {word}") <= ems:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True)
class Column:
    """One column: its heading in lines, and the width at which text breaks, None where it does not."""

    index: int
    heading: tuple[str, ...]
    numeric: bool
    taken: float
    wrapped: float | None = None


@dataclass(frozen=True)
class _Wish:
    index: int
    heading: tuple[str, ...]
    numeric: bool
    natural: float
    least: float


def parts(table: Table, room: float, gap: float) -> list[list[Column]]:
    """The columns that stand side by side, in ems: all of them where they fit into `room`, else in parts.

    `gap` is what each column takes beside its text. Text breaks into lines before a table is cut. Every
    part repeats the columns that name the row.
    """
    wishes = [_wish(table, index) for index in range(len(table.columns))]
    keys = _keys(wishes, room, gap)
    found = [keys]
    for wish in wishes[len(keys) :]:
        if len(found[-1]) > len(keys) and _least([*found[-1], wish], gap) > room:
            found.append(keys)
        found[-1] = [*found[-1], wish]
    return [_shared(part, room, gap) for part in found]


def _keys(wishes: Sequence[_Wish], room: float, gap: float) -> list[_Wish]:
    """The columns of text that a table begins with, as far as half of the room holds them; one at least."""
    keys = list(wishes[:1])
    for wish in wishes[1:]:
        if wish.numeric or _least([*keys, wish], gap) > room / 2:
            break
        keys.append(wish)
    return keys


def _least(wishes: Sequence[_Wish], gap: float) -> float:
    return sum(wish.least + gap for wish in wishes)


def _wish(table: Table, index: int) -> _Wish:
    """A column's width on one line, and the least that it takes when its text breaks."""
    cells = [row[index] for row in table.rows]
    numeric = any(cell.kind != "text" for cell in cells) and all(
        cell.kind != "text" or cell.value is None for cell in cells
    )
    texts = [(plain(cell), cell.bold) for cell in cells]
    widest = max((width(text, bold=bold) for text, bold in texts), default=0.0)
    words = (width(word, bold=bold) for text, bold in texts for word in _BREAKS.split(text))
    body = widest if numeric else max(words, default=0.0)
    longest_word = max(map(width, table.columns[index].split()), default=0.0)
    least = max(body, longest_word)
    heading = tuple(folded(table.columns[index], max(widest, longest_word)))
    return _Wish(index, heading, numeric, max(widest, *map(width, heading), 0.0), least)


def _shared(wishes: Sequence[_Wish], room: float, gap: float) -> list[Column]:
    """Every column as wide as it wants to be; where that is too wide, text breaks, the widest first."""
    left = room - sum(gap + (wish.natural if wish.numeric else 0.0) for wish in wishes)
    text = [wish for wish in wishes if not wish.numeric]
    level = _level(text, left)
    columns = []
    for wish in wishes:
        taken = wish.natural if wish.numeric else _capped(wish, level)
        wrapped = None if taken >= wish.natural else taken
        columns.append(Column(wish.index, wish.heading, wish.numeric, taken, wrapped))
    return columns


def _level(wishes: Sequence[_Wish], room: float) -> float:
    """The width that no text column passes, so that all of them together take `room`."""
    low, high = 0.0, max((wish.natural for wish in wishes), default=0.0)
    if sum(wish.natural for wish in wishes) <= room:
        return high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if sum(_capped(wish, middle) for wish in wishes) > room:
            high = middle
        else:
            low = middle
    return low


def _capped(wish: _Wish, level: float) -> float:
    return min(wish.natural, max(wish.least, level))


def lines(table: Table, columns: Sequence[Column]) -> int:
    """About how many lines the rows take."""
    wrapped = [(column.index, column.wrapped) for column in columns if column.wrapped]
    return sum(max([1, *(math.ceil(width(plain(row[i])) / w) for i, w in wrapped)]) for row in table.rows)
