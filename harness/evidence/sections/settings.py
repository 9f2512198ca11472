"""The hyper-parameters of every stage, as they ran: an appendix that leaves no default unsaid."""

from __future__ import annotations

from typing import Any

from harness.evidence.view import ComparisonView
from harness.tables import Cell, Table


def settings_table(view: ComparisonView) -> Table | None:
    """A row a setting, a column a stage of an arm; settings that nobody uses are left out."""
    columns: dict[str, dict[str, Any]] = {}
    for arm in view.arms:
        for digest in view.cells_of(arm)[0].stages:
            stage = view.record.plan.stages[digest]
            name = stage.name.partition("@")[0]
            columns[name] = {"method": stage.config.get("method"), **_flat(stage.config.get("config") or {})}
    names = dict.fromkeys(key for found in columns.values() for key in found)
    rows = []
    for key in names:
        values = [found.get(key) for found in columns.values()]
        if any(value is not None for value in values):
            rows.append((Cell(key), *(_cell(value) for value in values)))
    if not rows:
        return None
    spec = view.record.plan.spec
    note = (
        f"Model: {spec.get('model')}. Data: {view.source}, at most "
        f"{(spec.get('data') or {}).get('max_length')} tokens. Seeds: {', '.join(map(str, view.seeds))}. "
        "batch_size counts pairs an optimizer step."
    )
    return Table("hyperparameters", "Hyper-parameters", ("setting", *columns), tuple(rows), (note,))


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("none")
    return Cell(f"{value:g}" if isinstance(value, float) else str(value))
