"""What a user may write in a comparison file and in an arm's: every key, its type, its default, its meaning.

Settings that stages read stand in files of their own: `training_spec`, `model_form`, `data_spec`,
`generation_spec`, `questions_spec`. A method's own keys stand beside the method
(`harness/methods/<name>.py`, class `Config`), a benchmark's beside the benchmark.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.pipeline.data_spec import DataSpec
from harness.pipeline.executor_spec import Executor, LocalSpec
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.questions_spec import AggregateSpec, LookSpec, QuestionSpec
from harness.pipeline.roles import with_roles
from harness.pipeline.spec_model import Name, NonNegative, Seed, Source, SpecModel
from harness.pipeline.sweep import SweepSpec
from harness.pipeline.tuning_spec import TuningSpec
from harness.records import Round

MOST_SEEDS = 1_000


class StageSpec(SpecModel):
    """One stage of an arm. `name` defaults to the method; `config` holds what defines the arm. A stage starts
    from the one before it, or from the earlier one that `from` names."""

    method: str
    name: Name | None = None
    from_: Annotated[Name | None, Field(alias="from")] = None
    config: dict[str, Any] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a `from` that the file leaves out: plans of arms that have none are what they were."""
        whole: dict[str, Any] = dump(self)
        return {k: v for k, v in whole.items() if v is not None or k not in ("from", "from_")}

    @property
    def stage_name(self) -> str:
        return self.name or self.method


class ArmSpec(SpecModel):
    """One way to get an aligned model: `pipelines/<name>.yaml`.

    `seed_offset` is added to the cell's seed, so that an arm can be compared with itself at other seeds.
    """

    kind: Literal["arm"] = "arm"
    name: Name
    description: str = ""
    sft_data: str | DataSpec | None = None
    seed_offset: Annotated[int, Field(ge=0)] = 0
    stages: Annotated[list[StageSpec], Field(min_length=1)]


class BudgetSpec(SpecModel):
    """What every arm gets the same of. `epochs` and `trials` leave each stage its own epochs.

    On the other axes every arm gets what the arm `of` uses at its own epochs: an arm's stages are
    all lengthened or shortened by one factor. A file that leaves `of` out means its cost reference.
    """

    axis: Literal["epochs", "tokens", "flops", "seconds", "trials"] = "epochs"
    of: str


class FactorsSpec(SpecModel):
    """What turns seconds and joules into money and CO2; none is assumed. `pue` as in a data centre:
    energy drawn by the building for each joule of the device."""

    price_per_device_hour: NonNegative | None = None
    price_per_kwh: NonNegative | None = None
    currency: str | None = None
    grams_co2_per_kwh: NonNegative | None = None
    pue: Annotated[float, Field(ge=1)] | None = None


class TooLarge(SpecModel):
    """Settings for every arm where the rehearsal finds that a stage does not fit the GPU."""

    training: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)


class ComparisonSpec(SpecModel):
    """One question: these arms, this model, this data, these seeds, these benchmarks.

    `stages.<stage>` sets hyper-parameters by stage name for every arm that has such a stage;
    `training` sets them for all stages; what an arm's own file sets wins over both.
    `if_too_large` goes over `training` and `stages` where the rehearsal shows that some stage
    does not fit the GPU, for all arms alike; `fell_back` records that it did, `halvings` how often
    micro-batches were halved since memory ran out in mid-run. `repeats` trains
    every cell so often, for the cost alone. `allow_unequal` names parity checks that may fail.
    `trust_remote_code` runs code that the model brings along; the report says so.
    `questions` are the run's primary quantities with their margins: what is not among them is
    exploratory. The report is about the arms of the first. Win rates are against `baseline`, costs are
    shares of `cost_reference`; `roles.py` says what a file that leaves them out means. `looks` says how
    many of the seeds each look of `--until-decided` uses; `look` records which one a run is. `tuning`
    searches settings first, in trials on `development` pairs; arms then have the best. `tracking` names
    where the run can be watched, and `checkpoint_minutes` how often a training stage writes a checkpoint to
    go on from after an interruption, `stage_timeout_minutes` when a stage that makes no progress is ended (0:
    never for both), `stage_retries` how often one that failed is tried again at once, `stage_start` whether
    stages are forked from a process that has imported, or import for themselves, `executor` on which devices
    and machines they run, `chain` which rounds came before this one (`harness improve`). These are no part of
    the plan, since they change no result. `sweep` makes a comparison at every point of a grid of fields.
    """

    kind: Literal["comparison"] = "comparison"
    name: Name
    description: str = ""
    model: Source = "embedded"
    model_revision: str | None = None
    trust_remote_code: bool = False
    data: DataSpec = Field(default_factory=DataSpec)
    arms: Annotated[list[ArmSpec], Field(min_length=1)]
    baseline: str
    cost_reference: str
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS)]
    looks: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)] | None = None
    look: LookSpec | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    repeats: Annotated[int, Field(gt=0, le=1_000)] = 1
    budget: BudgetSpec
    allow_unequal: list[str] = Field(default_factory=list)
    factors: FactorsSpec = Field(default_factory=FactorsSpec)
    rehearsal_steps: Annotated[int, Field(ge=2)] = 8
    if_too_large: TooLarge | None = None
    fell_back: bool = False
    halvings: Annotated[int, Field(ge=0, le=20)] = 0
    score: list[str] = Field(default_factory=lambda: ["preference"])
    benchmarks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    generation: GenerationSpec = Field(default_factory=GenerationSpec)
    aggregates: dict[Name, AggregateSpec] = Field(default_factory=dict)
    questions: list[QuestionSpec] = Field(default_factory=list)
    sweep: Annotated[SweepSpec, Field(exclude=True)] = Field(default_factory=dict)
    tuning_trials_per_arm: dict[str, int] = Field(default_factory=dict)
    search_space: dict[str, Any] = Field(default_factory=dict)
    tuning: TuningSpec | None = None
    development: bool = False
    checkpoint_minutes: Annotated[float, Field(ge=0, exclude=True)] = 15.0
    stage_timeout_minutes: Annotated[float, Field(ge=0, exclude=True)] = 0.0
    stage_retries: Annotated[int, Field(ge=0, le=100, exclude=True)] = 0
    stage_start: Annotated[Literal["fork", "fresh"], Field(exclude=True)] = "fork"
    executor: Annotated[Executor, Field(exclude=True)] = Field(default_factory=LocalSpec)
    chain: Annotated[list[Round], Field(exclude=True)] = Field(default_factory=list)
    tracking: Annotated[list[str], Field(exclude=True)] = Field(default_factory=lambda: ["mlflow"])

    @field_validator("seeds")
    @classmethod
    def _every_seed_is_another(cls, seeds: list[int]) -> list[int]:
        twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
        if twice is not None:
            raise ValueError(f"seed {twice} stands twice; name each seed once")
        return seeds

    @field_validator("looks")
    @classmethod
    def _every_look_adds_seeds(cls, looks: list[int] | None) -> list[int] | None:
        if looks is not None and any(b <= a for a, b in pairwise(looks)):
            raise ValueError("a look uses no more seeds than the one before; write growing numbers")
        return looks

    @model_validator(mode="before")
    @classmethod
    def _every_part_has_an_arm(cls, data: Any) -> Any:
        return with_roles(data)
