"""Base units to what people read; every format shows the same words."""

from __future__ import annotations

from harness.tables import Cell, CellKind

NOT_MEASURED = "not measured"
BASE: dict[CellKind, str] = {
    "seconds": "s",
    "bytes": "B",
    "flops": "FLOP",
    "joules": "J",
    "percent": "share",
}
"""The unit that a cell's value is in, for formats that show it as it is."""
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
FLOPS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1, "FLOP"))
_JOULES = ((3.6e6, "kWh"), (1e3, "kJ"), (1, "J"))


def seconds(value: float) -> str:
    """`81 ms`, `12.3 s`, `4.2 min`, `3.1 h`."""
    if 0 < value < 0.9995:
        return f"{1000 * value:.3g} ms"
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    if value >= 300:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def unit_of(value: float, steps: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """Size and name of the largest unit that leaves at least 1."""
    return next(((s, u) for s, u in steps if abs(value) >= s), steps[-1])


def scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    """Three significant digits in the unit that fits."""
    size, unit = unit_of(value, steps)
    number = value / size
    return f"{number:.0f} {unit}" if size == 1 else f"{number:.3g} {unit}"


def plain(cell: Cell) -> str:
    """A cell's text with unit and interval, unescaped."""
    value = cell.value
    if value is None:
        return NOT_MEASURED
    if isinstance(value, str):
        return value
    text = _number(cell, float(value))
    if cell.low is not None and cell.high is not None and cell.low != cell.high:
        low, high = (_number(cell, bound, unit=False) for bound in (cell.low, cell.high))
        text += f" [{low}, {high}]"
    return text


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
        return f"{100 * value:.{cell.digits if cell.digits is not None else 1}f}" + ("%" if unit else "")
    if cell.kind == "count":
        return f"{value:,.0f}"
    digits = cell.digits if cell.digits is not None else 3
    return f"{value:.{digits}f}" if abs(value) >= 10**-digits or value == 0 else f"{value:.1e}"


def absent_notes(rows: tuple[tuple[Cell, ...], ...], columns: tuple[str, ...]) -> list[str]:
    """Why cells are not measured, each reason once with its columns."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            if cell.value is None and cell.reason:
                known = reasons.setdefault(cell.reason, [])
                if column not in known:
                    known.append(column)
    return [f"Not measured ({', '.join(cols)}): {reason}." for reason, cols in reasons.items()]
