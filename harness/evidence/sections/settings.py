"""The hyper-parameters of every stage, as they ran: an appendix that leaves no default unsaid."""

from __future__ import annotations

from typing import Any

from harness.evidence.arms import training_stages
from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Section, Table


def section(findings: Findings) -> Section | None:
    """None where no stage has settings."""
    table = settings_table(findings.view)
    return None if table is None else Section("Settings", (), (table,))


def settings_table(view: ComparisonView) -> Table | None:
    """A row a setting, a column a stage of an arm; settings that nobody uses are left out."""
    columns: dict[str, dict[str, Any]] = {}
    for arm in view.arms:
        for trained in training_stages(view, arm):
            stage = view.record.plan.stages[trained.digest]
            name = stage.name.partition("@")[0]
            columns[name] = {"method": stage.config.get("method"), **_flat(stage.config.get("config") or {})}
    names = dict.fromkeys(key for settings in columns.values() for key in settings)
    rows = []
    for key in names:
        values = [settings.get(key) for settings in columns.values()]
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
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("none")
    return Cell(f"{value:g}" if isinstance(value, float) else str(value))
