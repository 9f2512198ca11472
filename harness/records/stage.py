"""What a stage is asked and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from harness.records.base import Environment, Inside, Measurement, Record, Score, StageKind
from harness.records.covers import Covers
from harness.records.exporting import ExportFacts, SpeedFacts
from harness.records.prepared import PrepareFacts, ReplayFacts
from harness.records.sampling import SampleFacts
from harness.records.scoring import CheckFacts, EvaluateFacts, JudgeFacts, RehearseEvaluateFacts
from harness.records.training import RehearseFacts, TrainFacts
from harness.records.upgrade import facts_of_version_1

Facts = Annotated[
    PrepareFacts
    | ReplayFacts
    | CheckFacts
    | RehearseFacts
    | RehearseEvaluateFacts
    | TrainFacts
    | EvaluateFacts
    | JudgeFacts
    | ExportFacts
    | SpeedFacts
    | SampleFacts,
    Field(discriminator="kind"),
]
F = TypeVar(
    "F",
    PrepareFacts,
    ReplayFacts,
    CheckFacts,
    RehearseFacts,
    RehearseEvaluateFacts,
    TrainFacts,
    EvaluateFacts,
    JudgeFacts,
    ExportFacts,
    SpeedFacts,
    SampleFacts,
)


class StageRequest(Record):
    """What the parent asks of a child process; stands as `request.json` in the stage's folder.

    `attempt` is another one each time, and a result belongs to the attempt that asked for it.
    `interruptions` attempts before it ended without a result, and took `earlier_seconds` as far as their
    files tell. A training stage writes a checkpoint every `checkpoint_seconds`. `anew`: what another stage
    measured is not taken for this one's, since it was asked to run again.
    """

    schema_version: Literal[1] = 1
    digest: str
    kind: StageKind
    name: str
    seed: int
    attempt: str = ""
    interruptions: int = 0
    earlier_seconds: float = 0.0
    checkpoint_seconds: float | None = None
    anew: bool = False
    config: dict[str, Any]
    inputs: dict[str, str] = Field(default_factory=dict)
    covers: Covers | None = None


class Artifact(Record):
    """A file that a stage wrote: its size in bytes, when it was written last, and digests of all of it and
    of blocks of it (`harness.artifacts`)."""

    size: int
    modified_ns: int
    digest: str
    sampled: str


class StageResult(Record):
    """What a child process did; `result.json`, written last and at once.

    `facts` feed the parity audit and the report; `outputs` are paths relative to the folder, `artifacts`
    every file there, which results of earlier versions lack. Results of version 1, whose facts were a plain
    dict, are read as version 2.
    """

    schema_version: Literal[2] = 2
    digest: str
    kind: StageKind
    name: str
    seed: int
    attempt: str = ""
    started_at: str
    finished_at: str
    environment: Environment
    ledger: list[Measurement] = Field(default_factory=list)
    scores: list[Score] = Field(default_factory=list)
    facts: Facts
    outputs: dict[str, Inside] = Field(default_factory=dict)
    artifacts: dict[Inside, Artifact] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _facts_of_version_1(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema_version") == 1:
            try:
                facts = facts_of_version_1(data["kind"], data.get("facts") or {})
            except (LookupError, TypeError, AttributeError):
                raise ValueError("facts of version 1 that cannot be read") from None
            return {**data, "schema_version": 2, "facts": facts}
        return data

    def facts_as(self, kind: type[F]) -> F:
        """The facts of a stage that is known to be of one kind."""
        assert isinstance(self.facts, kind), f"{self.name} is a {self.kind} stage"
        return self.facts

    def measured(self, quantity: str) -> Measurement | None:
        """The ledger's entry for `quantity`, or None if the stage wrote none."""
        return next((m for m in self.ledger if m.quantity == quantity), None)


class StageError(Record):
    """Why a child process ended without a result; `error.json`."""

    kind: Literal["user", "failure", "out_of_memory", "diverged", "interrupted"]
    message: str
    fact: str | None = None
    remedy: str | None = None
    where: str | None = None
