"""What every training method can be told; what is a method's own stands beside the method."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from harness.pipeline.model_form import PrecisionName, Quantization
from harness.pipeline.spec_model import AutoOrOff, NonNegative, Positive, Share, SpecModel, Switch


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
Schedule = Literal[
    "cosine", "cosine_with_min_lr", "linear", "inverse_sqrt", "constant", "constant_with_warmup"
]
Parallel = Literal["ddp", "fsdp2", "deepspeed_zero2", "deepspeed_zero3"]
MIN_LR_SCHEDULE = "cosine_with_min_lr"
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
    once; `auto` does so where the model can. Where micro-batches are rows, `recompute_gates` makes one
    activation of three of each gated layer again in the backward, unless `gradient_checkpointing` makes all.
    `schedule` is transformers' of that name, with a warm-up of `warmup_steps` or of the share `warmup_ratio`
    of all steps (0.1 where neither is given); `constant` has none. `cosine_with_min_lr` ends at `min_lr_rate`
    of the learning rate. `devices` train one stage together, `parallel` says how: `ddp` keeps all weights on
    each of them, `fsdp2` a share of weights, gradients and optimizer. It means nothing with one device.
    """

    learning_rate: Positive
    epochs: Positive = 1.0
    max_steps: PositiveInt | None = None
    batch_size: PositiveInt = 32
    micro_batch_size: PositiveInt = 8
    schedule: Schedule = "cosine"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    min_lr_rate: Share | None = None
    optimizer: Literal[
        "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"
    ] = "adamw_torch_fused"
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
    recompute_gates: bool = True
    quantization: Quantization = "none"
    lora: LoraSpec | None = None
    early_stopping: EarlyStopping | None = None
    keep_checkpoints: bool = False
    checkpoint_every_steps: PositiveInt | None = None
    devices: PositiveInt = 1
    parallel: Parallel = "ddp"

    @model_validator(mode="before")
    @classmethod
    def _dtype_is_precision_now(cls, data: Any) -> Any:
        if isinstance(data, dict) and "dtype" in data:
            raise ValueError(RENAMED["dtype"])
        return data

    @model_validator(mode="before")
    @classmethod
    def _one_warm_up(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        ratio, steps = data.get("warmup_ratio"), data.get("warmup_steps")
        if ratio is not None and steps is not None:
            raise ValueError(
                "warmup_ratio and warmup_steps are two lengths of one warm-up; give one, and null for one "
                "that a file sets"
            )
        return {**data, "warmup_ratio": 0.1} if ratio is None and steps is None else data

    @model_validator(mode="after")
    def _a_least_rate_where_there_is_one(self) -> TrainConfig:
        if (self.schedule == MIN_LR_SCHEDULE) != (self.min_lr_rate is not None):
            raise ValueError(f"min_lr_rate belongs to schedule: {MIN_LR_SCHEDULE}; give both or neither")
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> TrainConfig:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        if self.batch_size % (self.micro_batch_size * self.devices):
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size {self.micro_batch_size} "
                f"times devices {self.devices}; each device takes the same number of micro-batches of a step"
            )
        if self.quantization != "none" and self.lora is None:
            raise ValueError("quantization needs lora: quantised weights cannot be trained")
        if self.precision == "bfloat16_stochastic" and self.optimizer not in STOCHASTIC_OPTIMIZERS:
            raise ValueError(
                f"optimizer {self.optimizer} does not round stochastically; give one of "
                f"{', '.join(STOCHASTIC_OPTIMIZERS)}, or another precision"
            )
        for name in ("packing", "shared_prompt"):
            if getattr(self, name) == "on" and (why := self.why_padded()):
                raise ValueError(f"{name}: on cannot be kept ({why}); leave {name} out")
        return self

    @model_validator(mode="after")
    def _what_several_devices_cannot_do(self) -> TrainConfig:
        if self.devices > 1 and (why := self.why_one_device()):
            raise ValueError(f"devices: {self.devices} cannot be had here ({why}); leave devices out")
        return self

    def why_one_device(self) -> str | None:
        """What of these settings keeps a stage on one device; None where nothing does."""
        if self.parallel.startswith("deepspeed"):
            return f"parallel: {self.parallel} is not built; ddp and fsdp2 are"
        if self.precision == "bfloat16_stochastic":
            return "precision: bfloat16_stochastic rounds at random, on each device in another way"
        if self.router_aux_loss and self.parallel != "ddp":
            return f"router_aux_loss with parallel: {self.parallel} is not built"
        if self.early_stopping is not None and self.lora is not None and self.parallel != "ddp":
            return f"early stopping of adapters with parallel: {self.parallel} is not built"
        if self.quantization != "none" and self.parallel != "ddp":
            return f"quantised weights with parallel: {self.parallel} are not built"
        return None

    def schedule_in_words(self) -> str:
        """The learning rate's course as it is recorded: stages of one course have equal words."""
        if self.schedule == "constant":
            return "constant"
        steps = self.warmup_steps
        warm_up = f"{self.warmup_ratio}" if steps is None else f"{steps} steps"
        least = "" if self.min_lr_rate is None else f", at least {self.min_lr_rate} of the rate"
        return f"{self.schedule}, warm-up {warm_up}{least}"

    def reads(self) -> dict[str, str]:
        """Further stages of the arm whose models the stage reads: what for -> the stage's name."""
        return {}

    def recomputes_gates(self) -> bool:
        """Whether gated layers keep less, where micro-batches are rows."""
        return self.recompute_gates and not self.gradient_checkpointing

    def why_padded(self) -> str | None:
        """Why micro-batches are padded by these settings alone; None where the model decides."""
        if self.packing == "off":
            return "packing: off"
        if self.attention != "sdpa":
            return f"attention: {self.attention}"
        return "router_aux_loss is of padded batches" if self.router_aux_loss else None


_TRLS_LOOP = "implementation: trl is TRL's own loop, which deals out micro-batches in another way"
OF_SEVERAL_DEVICES = ("devices", "parallel")
"""Settings that mean nothing to a stage on one device, and are no part of what it is."""


class StockConfig(TrainConfig):
    """A method that TRL has a trainer for: `implementation: trl` trains by it, as a control."""

    implementation: Literal["matched", "trl"] = "matched"

    def why_one_device(self) -> str | None:
        return _TRLS_LOOP if self.implementation == "trl" else super().why_one_device()

    def why_padded(self) -> str | None:
        return "implementation: trl" if self.implementation == "trl" else super().why_padded()


class OnlyTrlConfig(TrainConfig):
    """A method that TRL alone has a trainer for, whose loop is another than that of the others."""

    implementation: Literal["trl"] = "trl"

    def why_one_device(self) -> str | None:
        return _TRLS_LOOP

    @model_validator(mode="after")
    def _what_trl_cannot_do(self) -> OnlyTrlConfig:
        if self.early_stopping is not None:
            raise ValueError("early_stopping cannot be had here: TRL's trainer runs to its end; leave it out")
        if self.precision == "bfloat16_stochastic":
            raise ValueError("precision: bfloat16_stochastic cannot be had here; give another precision")
        return self

    def why_padded(self) -> str | None:
        return "implementation: trl"


class FullTrlConfig(OnlyTrlConfig):
    """One that trains full weights alone."""

    @model_validator(mode="after")
    def _full_weights(self) -> FullTrlConfig:
        if self.lora is not None:
            raise ValueError("lora cannot be had here: this stage trains full weights; leave lora out")
        return self


class ReferenceConfig(TrainConfig):
    """A method whose loss reads a reference, which is the model that the stage starts from.

    `reference`: scored in every step (a frozen copy, or with LoRA the frozen adapter or none), once before
    training, by the policy with its adapter switched off (LoRA that starts from full weights only), or
    `none`: a uniform one, which leaves the policy's log-probs alone. `reference_cache`: what is scored before
    training is kept for stages of other arms that would score the same, and they are charged for the pass;
    `off` lets every stage make its own.
    """

    reference: Literal["in_loop", "precomputed", "adapter_off", "none"] = "in_loop"
    reference_cache: AutoOrOff = "auto"
