"""A finished comparison and the checks of its terms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.records.base import Record
from harness.records.plan import Plan
from harness.records.sampling import Round
from harness.records.stage import StageResult
from harness.records.tuning import TuningRecord


class ParityCheck(Record):
    """One property that should be equal across arms. `equal` None means: could not be known.

    `values` maps what was compared (a stage, an arm) to its value. `touches` names the quantities
    that an inequality spoils (`wall_seconds`, `flops`, `scores`, ...). `stops` is whether an
    inequality ends the run; `allowed` whether the comparison's `allow_unequal` names it,
    or a method has one trainer alone.
    """

    check: str
    equal: bool | None
    detail: str
    values: dict[str, str] = Field(default_factory=dict)
    remedy: str | None = None
    touches: list[str] = Field(default_factory=list)
    stops: bool = True
    allowed: bool = False


class StageUse(Record):
    """How a comparison came by a stage: run now, or reused from an earlier run or another cell."""

    digest: str
    reused_from: str | None = None


class FailedStage(Record):
    """A stage that ended without a result: `cause` in words, `log` relative to the run root."""

    digest: str
    name: str
    cause: str
    log: str


class MissingCell(Record):
    """A cell that was asked for and is part of no figure, and why.

    It failed itself, or `finished` where another arm failed at its seed: its scores are those of the stage
    `evaluate`.
    """

    arm: str
    seed: int
    repeat: int = 0
    finished: bool
    why: str
    stages: list[str] = Field(default_factory=list)
    evaluate: str | None = None


class ComparisonRecord(Record):
    """A comparison that ran to its end; `record.json` of the run folder, and all that a report needs
    besides the per-item files and the per-step series of its stages.

    Where stages failed, `plan` is of the cells that can be compared (`pipeline.remaining`), and `missing`
    are the others. `chain` are the rounds before this one, the first first.
    """

    schema_version: Literal[1] = 1
    id: str
    name: str
    created_at: str
    plan: Plan
    results: dict[str, StageResult]
    uses: dict[str, StageUse]
    parity: list[ParityCheck] = Field(default_factory=list)
    failed: list[FailedStage] = Field(default_factory=list)
    missing: list[MissingCell] = Field(default_factory=list)
    tuning: TuningRecord | None = None
    chain: list[Round] = Field(default_factory=list)
    command: Annotated[str, Field(description="the command that made it")] = ""
    file: Annotated[str | None, Field(description="the comparison file")] = None
    file_digest: Annotated[str | None, Field(description="sha256 of its bytes when it ran")] = None
