"""Everything that reaches disk: frozen, versioned, and closed to unknown fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 1

Unit = Literal["s", "B", "FLOP", "J", "1", "token", "pair", "step"]
StageKind = Literal["prepare", "check", "rehearse", "train", "evaluate", "judge"]


class Record(BaseModel):
    """Base of all records: immutable, no unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measurement(Record):
    """One measured figure. `value` is None exactly when `reason` says why it is absent."""

    quantity: str
    value: float | int | None
    unit: Unit
    scope: str
    source: str
    reason: str | None = None

    @model_validator(mode="after")
    def _absent_needs_a_reason(self) -> Measurement:
        if (self.value is None) != (self.reason is not None):
            raise ValueError(f"{self.quantity}: a value or a reason for its absence, not both or none")
        return self


class Score(Record):
    """One metric of one benchmark for one cell.

    `items_file` is relative to the stage's folder and holds one JSON object a line with `id` and
    `metrics` (name -> number); `estimate` is the mean over its items unless `settings` says else.
    `higher_is_better` is None where neither direction is better.
    """

    benchmark: str
    metric: str
    estimate: float | None
    n: int
    higher_is_better: bool | None = True
    items_file: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None


class Environment(Record):
    """Where a stage ran. Absent facts are None."""

    device: Literal["cpu", "cuda"]
    device_name: str
    gpu_uuid: str | None = None
    driver: str | None = None
    cpu_count: int
    host_memory_bytes: int
    python: str
    versions: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None
    lock_digest: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class StageRequest(Record):
    """What the parent asks of a child process; stands as `request.json` in the stage's folder."""

    schema_version: Literal[1] = 1
    digest: str
    kind: StageKind
    name: str
    seed: int
    config: dict[str, Any]
    inputs: dict[str, str] = Field(default_factory=dict)


class StageResult(Record):
    """What a child process did; `result.json`, written last and at once.

    `facts` feed the parity audit and the report; `outputs` are paths relative to the folder.
    """

    schema_version: Literal[1] = 1
    digest: str
    kind: StageKind
    name: str
    seed: int
    started_at: str
    finished_at: str
    environment: Environment
    ledger: list[Measurement] = Field(default_factory=list)
    scores: list[Score] = Field(default_factory=list)
    facts: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    def measured(self, quantity: str) -> Measurement | None:
        """The ledger's entry for `quantity`, or None if the stage wrote none."""
        return next((m for m in self.ledger if m.quantity == quantity), None)


class StageError(Record):
    """Why a child process ended without a result; `error.json`."""

    kind: Literal["user", "failure", "interrupted"]
    message: str
    fact: str | None = None
    remedy: str | None = None
    where: str | None = None


class ParityCheck(Record):
    """One property that should be equal across arms. `equal` None means: could not be known.

    `values` maps what was compared (a stage, an arm) to its value. `touches` names the quantities
    that an inequality spoils (`wall_seconds`, `flops`, `scores`, ...). `stops` is whether an
    inequality ends the run; `allowed` whether the comparison's `allow_unequal` names it.
    """

    check: str
    equal: bool | None
    detail: str
    values: dict[str, str] = Field(default_factory=dict)
    remedy: str | None = None
    touches: list[str] = Field(default_factory=list)
    stops: bool = True
    allowed: bool = False


class PlannedStage(Record):
    """One stage of a plan. `needs` maps a role ("prepared", "model", ...) to a stage digest."""

    digest: str
    kind: StageKind
    name: str
    seed: int
    config: dict[str, Any]
    needs: dict[str, str] = Field(default_factory=dict)
    arm: str | None = None


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

    `blocks` are the arms' names in the order in which each seed and repeat runs them. `base_more` and
    `more_judges` are stages that scored again later.
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
    blocks: list[list[str]] = Field(default_factory=list)
    base_evaluate: str | None = None
    judge: str | None = None
    base_more: list[str] = Field(default_factory=list)
    more_judges: list[str] = Field(default_factory=list)


class StageUse(Record):
    """How a comparison came by a stage: run now, or reused from an earlier run or another cell."""

    digest: str
    reused_from: str | None = None


class ComparisonRecord(Record):
    """A finished comparison; `record.json` of the run folder, and all that a report needs
    besides the per-item files and the per-step series of its stages."""

    schema_version: Literal[1] = 1
    id: str
    name: str
    created_at: str
    plan: Plan
    results: dict[str, StageResult]
    uses: dict[str, StageUse]
    parity: list[ParityCheck] = Field(default_factory=list)
    command: Annotated[str, Field(description="the command that made it")] = ""
    file: Annotated[str | None, Field(description="the comparison file")] = None
    file_digest: Annotated[str | None, Field(description="sha256 of its bytes when it ran")] = None
