"""Parquet: `cells.parquet`, one row a table cell in base units, with interval and stage digests.

Figures of arms say which arm, seed and metric they are of, so that a notebook can group by these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.jsonl import well_formed
from harness.tables import Report
from harness.units import BASE, absence


def render(report: Report, folder: Path) -> list[Path]:
    """Write every cell of every table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("table", pa.string()),
            ("row", pa.int32()),
            ("column", pa.string()),
            ("arm", pa.string()),
            ("seed", pa.int32()),
            ("metric", pa.string()),
            ("number", pa.float64()),
            ("text", pa.string()),
            ("low", pa.float64()),
            ("high", pa.float64()),
            ("unit", pa.string()),
            ("not_measured", pa.string()),
            ("stages", pa.list_(pa.string())),
        ]
    )
    path = folder / "cells.parquet"
    pq.write_table(pa.Table.from_pylist(rows(report), schema=schema), path)
    return [path]


def rows(report: Report) -> list[dict[str, Any]]:
    """The cells in order; `number` or `text` holds a value, `not_measured` why it is absent, or its
    interval. `seed` is null where a figure is of all seeds."""
    cells = [
        {
            "table": table.name,
            "row": number,
            "column": column,
            "arm": cell.about.arm if cell.about else None,
            "seed": cell.about.seed if cell.about else None,
            "metric": cell.about.metric if cell.about else None,
            "number": float(cell.value) if isinstance(cell.value, int | float) else None,
            "text": cell.value if isinstance(cell.value, str) else None,
            "low": cell.low,
            "high": cell.high,
            "unit": BASE.get(cell.kind),
            "not_measured": absence(cell),
            "stages": list(cell.sources),
        }
        for table in report.tables()
        for number, row in enumerate(table.rows)
        for column, cell in zip(table.columns, row, strict=True)
    ]
    # A surrogate that stands alone, which a model's answer may hold, is no text for Parquet.
    return [
        {name: well_formed(value) if isinstance(value, str) else value for name, value in cell.items()}
        for cell in cells
    ]
