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


class Speed(Record):
    """At one batch size, a figure a repeat: seconds until all first tokens, seconds for later ones of all."""

    batch: int
    first_token: list[float]
    later_token: list[float]


class SpeedFacts(Record):
    """How fast a form answers, and beside it whole weights of the same training, taken in turns.

    Every prompt has `prompt_tokens` tokens and every answer `new_tokens`. `bytes` are the weights in memory.
    `whole` is empty for an export that is whole weights itself.
    """

    kind: Literal["speed"] = "speed"
    form: str
    prompt_tokens: int
    new_tokens: int
    bytes: int
    exported: list[Speed]
    whole_bytes: int | None
    whole: list[Speed]


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
