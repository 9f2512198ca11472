"""What a user may write in a pipeline file: every key, its type, its default, its meaning.

A method's own keys stand beside the method (`harness/methods/<name>.py`, class `Config`), a
benchmark's beside the benchmark.
"""

from __future__ import annotations

import math
import re
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.pipeline.roles import with_roles

PLAIN = re.compile(r"\w[\w.+-]{0,79}")
"""Names that files, folders and trackers can have: no separators, no blanks, nothing that leads elsewhere."""
MOST_SEEDS = 1_000


def plain_name(name: str) -> str:
    """The name; raises ValueError for one that could lead elsewhere or is taken."""
    if not PLAIN.fullmatch(name) or name in RESERVED:
        shown = repr(name if len(name) <= 40 else f"{name[:37]}...")
        raise ValueError(
            f"{shown} is no plain name; use letters, digits, ., _, + and -, at most 80, beginning with a "
            f"letter or digit, and none of {', '.join(RESERVED)}"
        )
    return name


RESERVED = ("base", "latest", "stages", "cache")
"""What cells of the starting model and folders of the runs are called."""
Name = Annotated[str, AfterValidator(plain_name)]


def _named(source: str) -> str:
    if not source.strip():
        raise PydanticCustomError("string_too_short", "blank")
    return source


Source = Annotated[str, AfterValidator(_named)]
SEEDS = 2**32
"""What numpy and torch both take are the whole numbers below this."""
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


Quantization = Literal["none", "4bit", "8bit"]
PrecisionName = Literal["auto", "mixed", "float32", "bfloat16_stochastic", "bfloat16"]
"""How trained weights are held and products made; `auto` is mixed on an accelerator whose bfloat16 is
native, float32 elsewhere. docs/costs.md says what each one costs and loses."""


def _as_yaml_reads_it(value: Any) -> Any:
    """YAML takes a bare on or off for true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_yaml_reads_it)]


class SpecModel(BaseModel):
    """Base of everything read from YAML: unknown keys, endless numbers, and true for 1, are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        if _holds_a_switch(value) and not _takes_switches(field.annotation):
            raise PydanticCustomError("switch", "true and false are no value here")
        return value


def _holds_a_switch(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, bool) or any(map(_holds_a_switch, inner))


def _takes_switches(annotation: Any) -> bool:
    """Whether true and false may stand there; what is a mapping of its own looks after itself."""
    own = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    named = "on" in get_args(annotation)
    return own or named or annotation in (bool, Any) or any(map(_takes_switches, get_args(annotation)))


class LoraSpec(SpecModel):
    """LoRA adapters (Hu et al. 2021, arXiv 2106.09685); `target_modules` as in peft.

    `modules_to_save` are trained whole beside the adapters: embed_tokens and lm_head, where a chat
    template brings tokens that the model has not learned. `dropout` acts in every method alike.
    """

    r: Annotated[int, Field(gt=0, le=65_536)] = 16
    alpha: Positive = 32
    dropout: Share = 0.0
    target_modules: str | list[str] = "all-linear"
    modules_to_save: list[str] = Field(default_factory=list)


RENAMED = {
    "dtype": "dtype is called precision now; give precision: float32, mixed (float32 weights, bfloat16 "
    "products) or bfloat16 (bfloat16 weights, as dtype: auto was on a GPU)"
}
STOCHASTIC_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit")


class EarlyStopping(SpecModel):
    """Stop when the held-out loss has not improved for `patience` evaluations."""

    patience: PositiveInt = 3
    eval_every_steps: PositiveInt = 50


class TrainConfig(SpecModel):
    """What every training method has in common. `batch_size` counts pairs per optimizer step.

    `learning_rate` has no default: the libraries' defaults differ by method, so an unset one
    would compare defaults instead of methods. `router_aux_loss` is the coefficient of a mixture of experts'
    load-balancing loss, which no objective holds: 0 leaves it out. `packing` puts all tokens of a micro-batch
    into one row, so that nothing but attention computes padding, and `shared_prompt` a pair's prompt into it
    once; `auto` does so where the model can.
    """

    learning_rate: Positive
    epochs: Positive = 1.0
    max_steps: PositiveInt | None = None
    batch_size: PositiveInt = 32
    micro_batch_size: PositiveInt = 8
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = 0.1
    optimizer: Literal[
        "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"
    ] = "adamw_torch"
    weight_decay: NonNegative = 0.0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    max_grad_norm: Positive = 1.0
    precision: PrecisionName = "auto"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = False
    router_aux_loss: NonNegative = 0.0
    packing: Switch = "auto"
    shared_prompt: Switch = "auto"
    quantization: Quantization = "none"
    lora: LoraSpec | None = None
    early_stopping: EarlyStopping | None = None
    keep_checkpoints: bool = False
    checkpoint_every_steps: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _dtype_is_precision_now(cls, data: Any) -> Any:
        if isinstance(data, dict) and "dtype" in data:
            raise ValueError(RENAMED["dtype"])
        return data

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> TrainConfig:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        for name in ("packing", "shared_prompt"):
            if getattr(self, name) == "on" and (why := self.why_padded()):
                raise ValueError(f"{name}: on cannot be kept ({why}); leave {name} out")
        if self.quantization != "none" and self.lora is None:
            raise ValueError("quantization needs lora: quantised weights cannot be trained")
        if self.precision == "bfloat16_stochastic" and self.optimizer not in STOCHASTIC_OPTIMIZERS:
            raise ValueError(
                f"optimizer {self.optimizer} does not round stochastically; give one of "
                f"{', '.join(STOCHASTIC_OPTIMIZERS)}, or another precision"
            )
        return self

    def why_padded(self) -> str | None:
        """Why micro-batches are padded by these settings alone; None where the model decides."""
        if self.packing == "off":
            return "packing: off"
        if self.attention != "sdpa":
            return f"attention: {self.attention}"
        return "router_aux_loss is of padded batches" if self.router_aux_loss else None


class StockConfig(TrainConfig):
    """A method that TRL has a trainer for: `implementation: trl` trains by it, as a control."""

    implementation: Literal["matched", "trl"] = "matched"

    def why_padded(self) -> str | None:
        return "implementation: trl" if self.implementation == "trl" else super().why_padded()


class ReferenceConfig(TrainConfig):
    """A method whose loss reads a reference, which is the model that the stage starts from.

    `reference`: scored in every step (a frozen copy, or with LoRA the frozen adapter or none), once
    before training, or by the policy with its adapter switched off (LoRA that starts from full
    weights only).
    """

    reference: Literal["in_loop", "precomputed", "adapter_off"] = "in_loop"


TEMPLATES = ("auto", "tokenizer", "default")
"""Chat templates that are not files."""


class ModelForm(SpecModel):
    """The form in which a model was trained and is therefore scored; `adapters`: on a frozen model."""

    precision: PrecisionName = "auto"
    adapters: bool = False
    quantization: Quantization = "none"


class DataSpec(SpecModel):
    """Where the pairs come from. `source`: `embedded`, a hub name, a folder or a file.

    A source without a test split gives `test_fraction` of its pairs, chosen by prompt hash. Test
    pairs whose prompt stands in training are dropped and counted, unless `test_overlap` is keep.
    Where some stage stops early, `validation_fraction` of the training pairs are held out of every arm's
    training for it, or the source's split `validation_split` is read. A chat template that writes
    today's date writes `template_date`, which is the one that Llama 3.1's falls back to.
    """

    source: Source = "embedded"
    config: str | None = None
    revision: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    validation_split: str | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.05
    limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None
    max_length: PositiveInt = 1024
    chat_template: str = "auto"
    template_date: date = date(2024, 7, 26)
    unknown_token_limit: Share = 0.05
    test_overlap: Literal["drop", "keep"] = "drop"


class GenerationSpec(SpecModel):
    """How answers are made; recorded with every score that uses them."""

    max_new_tokens: PositiveInt = 256
    batch_size: PositiveInt = 32
    temperature: NonNegative = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0


class StageSpec(SpecModel):
    """One stage of an arm. `name` defaults to the method; `config` holds what defines the arm."""

    method: str
    name: Name | None = None
    config: dict[str, Any] = Field(default_factory=dict)

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


class QuestionSpec(SpecModel):
    """One question that the run shall answer, written down before it.

    `quantity` is a score (`benchmark.metric`), an aggregate of scores (`aggregate.NAME`) or a cost
    (`cost.wall_seconds`, ...) of arm `a` against `b`; `roles.py` says what a file that leaves them out
    means. `margin` is how much worse still counts as good: a difference of the score, or a share of the
    cost (0.05: up to 5% more).
    """

    quantity: str
    a: str
    b: str
    margin: Positive | None = None


class LookSpec(SpecModel):
    """Which of a comparison's looks a run is, counted from 1; written by `--until-decided`, by no file.

    `weights` are the looks' shares of the error, in order; they sum to 1. `earlier` are the runs of the
    looks before this one.
    """

    number: PositiveInt
    weights: Annotated[list[Positive], Field(min_length=1)]
    earlier: list[str] = Field(default_factory=list)

    @property
    def weight(self) -> float:
        """This look's share of the error."""
        return self.weights[self.number - 1]


class AggregateSpec(SpecModel):
    """Several scores as one quantity, `aggregate.NAME`: a weighted mean of differences in units of `scales`.

    `weights` by `benchmark.metric` are relative. One unit of the aggregate is for each score its scale;
    where none is given, the standard deviation over items of the base model's own scores.
    """

    weights: Annotated[dict[str, float], Field(min_length=1)]
    scales: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _weights_and_scales_are_amounts(self) -> AggregateSpec:
        for key, given in (("weight", self.weights), ("scale", self.scales)):
            wrong = next((score for score, value in given.items() if not 0 < value < math.inf), None)
            if wrong is not None:
                raise ValueError(
                    f"the {key} of {wrong} is {given[wrong]:g}; give a finite number above 0 (which "
                    "direction is better is known from the benchmark)"
                )
        for score in self.scales:
            if score not in self.weights:
                raise ValueError(f"{score} has a scale and no weight; give it a weight, or no scale")
        return self


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
    many of the seeds each look of `--until-decided` uses; `look` records which one a run is. `tracking` names
    where the run can be watched, and `checkpoint_minutes` how often a training stage writes a checkpoint to
    go on from after an interruption, `stage_timeout_minutes` when a stage that makes no progress is ended (0:
    never for both), `stage_retries` how often one that failed is tried again at once, `stage_start` whether
    stages are forked from a process that has imported, or import for themselves. These are no part of the
    plan, since they change no result.
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
    tuning_trials_per_arm: dict[str, int] = Field(default_factory=dict)
    search_space: dict[str, Any] = Field(default_factory=dict)
    checkpoint_minutes: Annotated[float, Field(ge=0, exclude=True)] = 15.0
    stage_timeout_minutes: Annotated[float, Field(ge=0, exclude=True)] = 0.0
    stage_retries: Annotated[int, Field(ge=0, le=100, exclude=True)] = 0
    stage_start: Annotated[Literal["fork", "fresh"], Field(exclude=True)] = "fork"
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
