"""CSV: one file a table in `tables/`, values in base units, with interval and stage digests.

An absent value is an empty field; the column `not measured` says why.
"""

from __future__ import annotations

import csv
from pathlib import Path

from harness.tables import Cell, Report, Table
from harness.units import BASE


def render(report: Report, folder: Path) -> list[Path]:
    """Write `tables/<name>.csv` for every table."""
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    return [_table(table, target / f"{table.name}.csv") for table in report.tables()]


def _table(table: Table, path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink)
        spread = [any(row[i].low is not None for row in table.rows) for i in range(len(table.columns))]
        writer.writerow(_header(table, spread))
        for row in table.rows:
            values: list[str] = []
            for cell, has_interval in zip(row, spread, strict=True):
                values.append(_value(cell.value))
                if has_interval:
                    values += [_value(cell.low), _value(cell.high)]
            sources = sorted({s for cell in row for s in cell.sources})
            writer.writerow([*values, _value(_absent(table, row)), " ".join(sources)])
    return path


def _header(table: Table, spread: list[bool]) -> list[str]:
    """Names with their units; a column with intervals has two more."""
    header: list[str] = []
    for index, column in enumerate(table.columns):
        kinds = {BASE[row[index].kind] for row in table.rows if row[index].kind in BASE}
        unit = f" ({kinds.pop()})" if len(kinds) == 1 else ""
        header.append(column + unit)
        if spread[index]:
            header += [f"{column} low", f"{column} high"]
    return [*header, "not measured", "stages"]


def _absent(table: Table, row: tuple[Cell, ...]) -> str:
    pairs = zip(table.columns, row, strict=True)
    return "; ".join(f"{column}: {cell.reason}" for column, cell in pairs if cell.value is None)


def _value(value: float | int | str | None) -> str:
    """Numbers in full precision; text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return repr(value)
