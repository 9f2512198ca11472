"""CSV: one file a table in `tables/`, values in base units, with interval and stage digests.

An absent value or interval is an empty field; the column `not measured` says why.
"""

from __future__ import annotations

import csv
from pathlib import Path

from harness.jsonl import well_formed
from harness.tables import Cell, Report, Table
from harness.units import BASE, absence

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How text begins that some spreadsheet runs, or cuts and then runs; the last four are the wide forms."""
Value = float | int | str | None


def render(report: Report, folder: Path) -> list[Path]:
    """Write `tables/<name>.csv` for every table."""
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    return [_table(table, target / f"{table.name}.csv") for table in report.tables()]


def _table(table: Table, path: Path) -> Path:
    header, rows = flat(table)
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink)
        writer.writerow([_text(name) for name in header])
        writer.writerows([_text(value) for value in row] for row in rows)
    return path


def flat(table: Table) -> tuple[list[str], list[list[Value]]]:
    """Header with units and rows in base units; a column with intervals has two more.

    The last two columns say why a row's values are absent and which stages are behind them.
    """
    header: list[str] = []
    spread = [any(row[i].low is not None for row in table.rows) for i in range(len(table.columns))]
    for index, column in enumerate(table.columns):
        kinds = {BASE[row[index].kind] for row in table.rows if row[index].kind in BASE}
        header.append(column + (f" ({kinds.pop()})" if len(kinds) == 1 else ""))
        header += [f"{column} low", f"{column} high"] if spread[index] else []
    return [*header, "not measured", "stage digests"], [_row(table, row, spread) for row in table.rows]


def _row(table: Table, row: tuple[Cell, ...], spread: list[bool]) -> list[Value]:
    values: list[Value] = []
    for cell, has_interval in zip(row, spread, strict=True):
        values += [cell.value, cell.low, cell.high] if has_interval else [cell.value]
    sources = sorted({s for cell in row for s in cell.sources})
    return [*values, _absent(table, row), " ".join(sources)]


def _absent(table: Table, row: tuple[Cell, ...]) -> str:
    pairs = zip(table.columns, row, strict=True)
    return "; ".join(f"{column}: {why}" for column, cell in pairs if (why := absence(cell)) is not None)


def _text(value: Value) -> str:
    """Numbers in full precision; text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = well_formed(value).replace("\0", "\ufffd")
        return f"'{text}" if text.lstrip(" ")[:1] in FORMULAS else text
    return repr(value)
