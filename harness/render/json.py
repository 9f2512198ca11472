"""JSON: `comparison.json`, the contract that other tools rely on."""

from __future__ import annotations

import json
from pathlib import Path

from harness.tables import Report


def render(report: Report, folder: Path) -> list[Path]:
    """Write `comparison.json`; numbers that JSON has no word for are null."""
    path = folder / "comparison.json"
    path.write_text(text(report), encoding="utf-8")
    return [path]


def text(report: Report) -> str:
    """The document as text."""
    return json.dumps(_finite(report.data), indent=1, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
