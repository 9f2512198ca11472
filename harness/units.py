"""Base units to what people read; every format shows the same words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from harness.tables import Cell, CellKind, ForestRow, Table

TRUSTED_DIGITS = 12
"""Significant digits of a float that survive sums over items; what lies beyond is noise of the addition."""
NOT_MEASURED = "not measured"
DOES_NOT_APPLY = "\N{EN DASH}"
NO_INTERVAL = "no interval"
BASE: dict[CellKind, str] = {
    "seconds": "s",
    "bytes": "B",
    "flops": "FLOP",
    "joules": "J",
    "percent": "share",
    "points": "share",
}
"""The unit that a cell's value is in, for formats that show it as it is."""
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
FLOPS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1, "FLOP"))
_JOULES = ((3.6e6, "kWh"), (1e3, "kJ"), (1, "J"))
_SECONDS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
_STEPS: dict[CellKind, tuple[tuple[float, str], ...]] = {
    "seconds": _SECONDS,
    "bytes": _BYTES,
    "flops": FLOPS,
    "joules": _JOULES,
}


def rounded(value: float, digits: int) -> str:
    """`value` with so many decimals, halves away from zero: the one rounding rule of every format.

    The value is taken to 12 significant digits first, so that 0.0125 is 0.013 however it was added up:
    a sum that misses it by the last bit would else be 0.012 in one column and 0.013 in the next.
    """
    return f"{_halves_away(value, digits):.{digits}f}"


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits by the same rule, as `%g` writes it: `0.0125`, `1.2e-05`."""
    return f"{_to_significant(value, digits):.{digits}g}"


def _to_significant(value: float, digits: int) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    return _halves_away(value, digits - 1 - Decimal(f"{value:.{TRUSTED_DIGITS - 1}e}").adjusted())


def _halves_away(value: float, digits: int) -> float:
    """`value` rounded to so many decimals; without a minus where nothing is left of it."""
    if not math.isfinite(value) or abs(value) >= 10.0**TRUSTED_DIGITS:
        return value
    trusted = Decimal(f"{value:.{TRUSTED_DIGITS - 1}e}")
    return float(trusted.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)) or 0.0


def seconds(value: float) -> str:
    """`81 ms`, `12.3 s`, `4.2 min`, `3.1 h`."""
    if 0 < value < 0.9995:
        return f"{significant(1000 * value)} ms"
    if value >= 7200:
        return f"{rounded(value / 3600, 1)} h"
    if value >= 300:
        return f"{rounded(value / 60, 1)} min"
    return f"{rounded(value, 1 if value >= 10 else 2)} s"


def unit_of(value: float, steps: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """Size and name of the largest unit that leaves at least 1."""
    return next(((s, u) for s, u in steps if abs(value) >= s), steps[-1])


def scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    """Three significant digits in the unit that fits."""
    size, unit = unit_of(value, steps)
    number = value / size
    return f"{rounded(number, 0) if size == 1 else significant(number)} {unit}"


def plain(cell: Cell) -> str:
    """A cell's text with unit and interval, unescaped."""
    value = cell.value
    if value is None:
        return NOT_MEASURED if cell.applies else DOES_NOT_APPLY
    if isinstance(value, str):
        return value
    text = _number(cell, float(value))
    if cell.low is not None and cell.high is not None and cell.low != cell.high:
        low, high = (_number(cell, bound, unit=False) for bound in (cell.low, cell.high))
        text += f" [{low}, {high}]"
    return text


def in_column(cells: Sequence[Cell]) -> tuple[str, list[tuple[str, str]]]:
    """The unit of a column, and a value and an interval of every cell in it.

    Costs take the largest unit that leaves the smallest of them at least 1, and as many decimals as give
    that one three digits. Cells of several kinds keep a unit each, and the column has none.
    """
    kinds = {cell.kind for cell in cells}
    if len(kinds) == 1 and kinds <= {"percent", "points"}:
        unit = "%" if kinds == {"percent"} else "points"
        return unit, [_bare(cell, unit) for cell in cells]
    if len(kinds) == 1 and kinds <= _STEPS.keys():
        size, unit, digits = _common(_STEPS[kinds.pop()], [float(cell.value or 0) for cell in cells])
        scaled_down = [_scaled_down(cell, size, digits) for cell in cells]
        return unit, [_bare(cell, "") for cell in scaled_down]
    return "", [_bare(cell, "") for cell in cells]


def _common(steps: tuple[tuple[float, str], ...], values: Sequence[float]) -> tuple[float, str, int]:
    """Size, name and decimals of one unit for all values."""
    least = min((abs(value) for value in values if value), default=1.0)
    size, unit = unit_of(least, steps)
    digits = 2 if least / size < 10 else 1 if least / size < 100 else 0
    return size, unit, digits


def _scaled_down(cell: Cell, size: float, digits: int) -> Cell:
    value, low, high = (
        None if one is None else float(one) / size for one in (cell.value, cell.low, cell.high)
    )
    return replace(cell, value=value, low=low, high=high, kind="number", digits=digits)


def _bare(cell: Cell, unit: str) -> tuple[str, str]:
    """Value and interval without the unit that the column names."""
    if isinstance(cell.value, str):
        return cell.value, ""
    value, opening, interval = plain(cell).partition(" [")
    return value.removesuffix(unit).rstrip(), opening.strip() + interval


def _number(cell: Cell, value: float, *, unit: bool = True) -> str:
    if cell.kind == "seconds":
        return seconds(value)
    if cell.kind == "bytes":
        return scaled(value, _BYTES)
    if cell.kind == "flops":
        return scaled(value, FLOPS)
    if cell.kind == "joules":
        return scaled(value, _JOULES)
    if cell.kind == "percent":
        return rounded(100 * value, 1 if cell.digits is None else cell.digits) + ("%" if unit else "")
    if cell.kind == "points":
        return _decimal(100 * value, 2 if cell.digits is None else cell.digits) + " points" * unit
    if cell.kind == "count":
        return f"{_halves_away(value, 0):,.0f}"
    return _decimal(value, 3 if cell.digits is None else cell.digits)


def _decimal(value: float, digits: int) -> str:
    """So many decimals; a value too small for them keeps two digits."""
    if abs(value) >= 10**-digits or value == 0:
        return rounded(value, digits)
    return f"{_to_significant(value, 2):.1e}"


def forest_words(row: ForestRow, digits: int) -> tuple[str, str]:
    """A forest row's value with interval and its weight, as tables show them; a prediction has no value."""
    text = plain(Cell(row.value, "number", row.low, row.high, digits))
    if row.kind == "prediction":
        return text.partition(" ")[2], ""
    weight = "left out" if row.weight is None else plain(Cell(row.weight, "percent", digits=0))
    return text, weight if row.kind == "run" else ""


def for_readers(table: Table) -> Table:
    """The table as it is read: its absences told in its notes, each reason once with its columns, and without
    the columns of which nothing is known."""
    known = [
        place
        for place in range(len(table.columns))
        if place == 0 or not table.rows or any(row[place].value is not None for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in known),
        rows=tuple(tuple(row[place] for place in known) for row in table.rows),
        notes=(*table.notes, *_absent_notes(table)),
    )


def _absent_notes(table: Table) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row, strict=True):
            empty = cell.value is None
            shown, why = (plain(cell), cell.reason) if empty else (NO_INTERVAL, cell.no_interval)
            if why:
                known = reasons.setdefault((shown.capitalize(), why), [])
                if column not in known:
                    known.append(column)
    return [f"{shown} ({', '.join(cols)}): {reason}." for (shown, reason), cols in reasons.items()]


def absence(cell: Cell) -> str | None:
    """Why the cell is empty, or has no interval that it should have; None where it lacks neither."""
    if cell.value is None:
        return cell.reason
    return None if cell.no_interval is None else f"{NO_INTERVAL}: {cell.no_interval}"
