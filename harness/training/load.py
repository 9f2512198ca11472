"""The model of a training stage, ready for a trainer."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from harness.errors import UserError
from harness.generate.load import base_of_adapters, check_quantization, load_weights
from harness.generate.precision import Precision, PrecisionKind, compute_in, resolve_precision
from harness.methods import about, load_method
from harness.pipeline.training_spec import LoraSpec, TrainConfig
from harness.training.adapters import check_names, check_they_learn, remedy_of_targets
from harness.training.job import TrainJob

FRESH, CONTINUED = "fresh", "continued"


@dataclass(frozen=True)
class Policy:
    """The model to train. `adapters`: none, fresh ones, or those of the stage before."""

    model: Any
    adapters: str | None = None

    @property
    def continues_adapters(self) -> bool:
        """Whether adapters of an earlier stage go on training."""
        return self.adapters == CONTINUED


def precision_of(config: TrainConfig) -> Precision:
    """The precision that a stage trains in on this machine."""
    return resolve_precision(config.precision)


def check_hardware(config: TrainConfig) -> None:
    """Raise UserError for settings that this machine cannot run."""
    stochastic = precision_of(config).kind is PrecisionKind.STOCHASTIC
    if not stochastic and config.optimizer in ("adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"):
        check_quantization(f"optimizer: {config.optimizer}")


def load_policy(job: TrainJob) -> Policy:
    """Full weights, a fresh adapter on them, or the earlier stage's adapter; a body that rewards, to train
    one."""
    check_hardware(job.config)
    if trains_reward(job):
        rewarding = load_base(job.model, job.revision, job.config, own_code=job.own_code, rewards=True)
        return Policy(rewarding)
    lora, adapters = lora_config(job.config.lora), base_of_adapters(job.model)
    whole = precision_of(job.config).trained is torch.float32
    if adapters is None:
        model = load_base(job.model, job.revision, job.config, own_code=job.own_code)
        if lora is None:
            return Policy(model)
        # What a stage trained adapters on is loaded again from where it came, in the same revision.
        lora.revision = job.revision
        if job.config.lora is not None:
            check_names(model, job.config.lora)
        remedy = remedy_of_targets(model)
        with _target_modules_in_words(lora.target_modules, remedy):
            adapted = peft.get_peft_model(model, lora, autocast_adapter_dtype=whole)
        check_they_learn(adapted, remedy)
        return Policy(adapted, FRESH)
    base = load_base(*adapters, job.config, own_code=job.own_code)
    continues = lora is not None
    model = peft.PeftModel.from_pretrained(
        base, job.model, is_trainable=continues, autocast_adapter_dtype=whole
    )
    if not continues:
        return Policy(model.merge_and_unload())
    _check_same_adapter(model.peft_config["default"], job.config.lora)
    return Policy(model, CONTINUED)


def trains_reward(job: TrainJob) -> bool:
    """Whether the stage trains a reward and no policy."""
    return about(load_method(job.method), job.config).trains == "reward"


def load_base(
    path: str, revision: str | None, config: TrainConfig, *, own_code: bool = False, rewards: bool = False
) -> Any:
    """Full weights from a folder or the hub, without dropout, on the training device; `rewards` as in
    `load_weights`.

    A model below adapters is frozen, so it is held in what products are made in.
    """
    precision = precision_of(config)
    dtype = precision.trained if config.lora is None else precision.below_adapters
    with _attention_in_words(config.attention):
        model = load_weights(
            path,
            revision,
            dtype,
            quantization=config.quantization,
            attention=config.attention,
            checkpointing=config.gradient_checkpointing,
            own_code=own_code,
            rewards=rewards,
        )
    compute_in(model, precision)
    _without_dropout(model)
    return model


@contextlib.contextmanager
def _attention_in_words(attention: str) -> Iterator[None]:
    """Turn transformers' refusal of an attention implementation into one sentence."""
    try:
        yield
    except (ValueError, ImportError) as error:
        if "attention" not in str(error).lower():
            raise
        reason = str(error).splitlines()[0].split(". ")[0]
        remedy = "set training.attention to another of sdpa, eager and flash_attention_2, for all arms"
        raise UserError(f"attention: {attention} cannot be used ({reason})", remedy=remedy) from error


def _without_dropout(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def lora_config(spec: LoraSpec | None) -> peft.LoraConfig | None:
    """peft's config for our spec."""
    if spec is None:
        return None
    return peft.LoraConfig(
        r=spec.r,
        lora_alpha=int(spec.alpha) if float(spec.alpha).is_integer() else spec.alpha,  # type: ignore[arg-type]
        lora_dropout=spec.dropout,
        target_modules=spec.target_modules,
        modules_to_save=spec.modules_to_save or None,
        ensure_weight_tying=bool(spec.modules_to_save),
        task_type="CAUSAL_LM",
    )


@contextlib.contextmanager
def _target_modules_in_words(wish: Any, remedy: str) -> Iterator[None]:
    """Turn peft's refusal of the layers to adapt into one sentence that names those that it can."""
    wish = wish if isinstance(wish, str) else f"[{', '.join(sorted(wish))}]"
    try:
        yield
    except (ValueError, re.error) as error:
        reason = re.sub(r"^\[PEFT\S*\] ", "", str(error).splitlines()[0]).split(". ")[0].rstrip("(")
        fact = f"lora.target_modules: {wish} cannot be used with this model ({reason})"
        raise UserError(fact, remedy=remedy) from error


def adapters_dropout(model: Any) -> float:
    """The highest dropout that acts on some adapter, as the model has it now."""
    shares = [
        layer.p
        for module in model.modules()
        for layer in getattr(module, "lora_dropout", {}).values()
        if isinstance(layer, torch.nn.Dropout)
    ]
    return max(shares, default=0.0)


def _check_same_adapter(adapter: Any, wanted: LoraSpec | None) -> None:
    assert wanted is not None
    if (adapter.r, float(adapter.lora_alpha)) != (wanted.r, float(wanted.alpha)):
        raise UserError(
            f"the earlier stage trained LoRA with r={adapter.r}, alpha={adapter.lora_alpha} and this "
            f"one wants r={wanted.r}, alpha={wanted.alpha}",
            remedy="give all stages of an arm the same lora",
        )


def load_tokenizer(prepared: Path, *, own_code: bool = False) -> Any:
    """The tokenizer that the data was prepared with."""
    return transformers.AutoTokenizer.from_pretrained(prepared / "tokenizer", trust_remote_code=own_code)
