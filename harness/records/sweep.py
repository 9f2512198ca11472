"""A finished sweep: the runs at its points."""

from __future__ import annotations

from typing import Literal

from harness.records.base import Record

SweepValue = bool | int | float | str | None


class SweepPoint(Record):
    """A value by field, and the id of the comparison that ran there."""

    settings: dict[str, SweepValue]
    run: str


class SweepRecord(Record):
    """`sweep.json` of a folder beside those of its runs; the last of `fields` varies fastest in `points`."""

    schema_version: Literal[1] = 1
    id: str
    name: str
    created_at: str
    fields: list[str]
    points: list[SweepPoint]
    command: str = ""
    file: str | None = None
