"""What a comparison will run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.records.base import Record, StageKind
from harness.records.covers import Covers


class PlannedStage(Record):
    """One stage of a plan. `needs` maps a role ("prepared", "model", ...) to a stage digest.

    `covers` is None in plans that were made before digests were recorded part by part.
    """

    digest: str
    kind: StageKind
    name: str
    seed: int
    config: dict[str, Any]
    needs: dict[str, str] = Field(default_factory=dict)
    arm: str | None = None
    covers: Covers | None = None


class PlannedCell(Record):
    """One arm at one seed: its training stages in order and the stage that scores it.

    `repeat` above 0 trains the same again for its cost alone, and is not scored. `more` are stages that
    scored it again later.
    """

    arm: str
    seed: int
    stages: list[str]
    evaluate: str | None
    repeat: int = 0
    more: list[str] = Field(default_factory=list)


class Plan(Record):
    """What a comparison runs. `order` is the order of execution; `stages` is keyed by digest.

    `rehearsals` are those of training stages, `rehearse_evaluate` that of scoring. `blocks` are the arms'
    names in the order in which each seed and repeat runs them. `base_more` and `more_judges` are stages that
    scored again later.
    """

    schema_version: Literal[1] = 1
    id: str
    name: str
    spec: dict[str, Any]
    stages: dict[str, PlannedStage]
    cells: list[PlannedCell]
    order: list[str]
    prepare: str
    check: str | None = None
    rehearsals: list[str] = Field(default_factory=list)
    rehearse_evaluate: str | None = None
    blocks: list[list[str]] = Field(default_factory=list)
    base_evaluate: str | None = None
    judge: str | None = None
    base_more: list[str] = Field(default_factory=list)
    more_judges: list[str] = Field(default_factory=list)
