"""What an export wrote, and where it came from."""

from __future__ import annotations

from typing import Literal

from harness.records.base import Record


class ExportFacts(Record):
    """The form in which a stage's weights were written, `rounds` where that rounds them, the bytes of the
    model's folder; `merged`: adapters were folded into their model."""

    kind: Literal["export"] = "export"
    form: str
    rounds: bool
    merged: bool
    bytes: int


class ExportRecord(Record):
    """`export.json` in an exported folder: of which arm and seed of which run it is, by which stages it was
    trained, written and scored, why that seed, and SHA-256 of every file."""

    schema_version: Literal[1] = 1
    run: str
    comparison: str
    arm: str
    seed: int
    chosen_by: str
    form: str
    model: str
    model_revision: str | None
    data: str
    stages: dict[str, str]
    code: str | None
    margin: float
    files: dict[str, str]
