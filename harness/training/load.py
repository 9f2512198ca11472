"""The model of a training stage, ready for a trainer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from harness.errors import UserError
from harness.pipeline.spec import LoraSpec, TrainConfig
from harness.training.job import TrainJob


@dataclass(frozen=True)
class Policy:
    """The model to train. `adapters`: none, fresh ones, or those of the stage before."""

    model: Any
    adapters: str | None = None

    @property
    def continues_adapters(self) -> bool:
        """Whether adapters of an earlier stage go on training."""
        return self.adapters == CONTINUED


FRESH, CONTINUED = "fresh", "continued"


def resolve_dtype(config: TrainConfig) -> torch.dtype:
    """`auto` is bfloat16 on a GPU that has it, float32 elsewhere."""
    if config.dtype == "auto":
        has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bf16 else torch.float32
    return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32


def check_hardware(config: TrainConfig) -> None:
    """Raise UserError for settings that this machine cannot run."""
    eight_bit = config.optimizer in ("adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit")
    if config.quantization == "none" and not eight_bit:
        return
    wish = f"quantization: {config.quantization}" if not eight_bit else f"optimizer: {config.optimizer}"
    if not torch.cuda.is_available():
        raise UserError(f"{wish} needs a CUDA GPU and this machine has none", remedy="remove it")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{wish} needs bitsandbytes, which is not installed",
            remedy="pip install 'orpo-harness[quantization]'",
        ) from error


def load_policy(job: TrainJob) -> Policy:
    """Full weights, a fresh adapter on them, or the earlier stage's adapter."""
    check_hardware(job.config)
    adapter = Path(job.model) / "adapter_config.json"
    if not adapter.is_file():
        model, lora = load_base(job.model, job), lora_config(job.config.lora)
        return Policy(model) if lora is None else Policy(peft.get_peft_model(model, lora), FRESH)
    base = load_base(json.loads(adapter.read_text())["base_model_name_or_path"], job)
    continues = job.config.lora is not None
    model = peft.PeftModel.from_pretrained(base, job.model, is_trainable=continues)
    if not continues:
        return Policy(model.merge_and_unload())
    _check_same_adapter(model.peft_config["default"], job.config.lora)
    return Policy(model, CONTINUED)


def load_base(path: str, job: TrainJob) -> Any:
    """Full weights from a folder or the hub, without dropout, on the training device."""
    config = job.config
    quantization = {}
    if config.quantization != "none":
        quantization["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=config.quantization == "4bit",
            load_in_8bit=config.quantization == "8bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path,
        revision=job.revision,
        dtype=resolve_dtype(config),
        attn_implementation=config.attention,
        **quantization,
    )
    if config.quantization != "none":
        model = peft.prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.gradient_checkpointing
        )
    elif torch.cuda.is_available():
        model.to("cuda")
    _without_dropout(model)
    return model


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
        task_type="CAUSAL_LM",
    )


def _check_same_adapter(adapter: Any, wanted: LoraSpec | None) -> None:
    assert wanted is not None
    if (adapter.r, float(adapter.lora_alpha)) != (wanted.r, float(wanted.alpha)):
        raise UserError(
            f"the earlier stage trained LoRA with r={adapter.r}, alpha={adapter.lora_alpha} and this "
            f"one wants r={wanted.r}, alpha={wanted.alpha}",
            remedy="give all stages of an arm the same lora",
        )


def load_tokenizer(prepared: Path) -> Any:
    """The tokenizer that the data was prepared with."""
    return transformers.AutoTokenizer.from_pretrained(prepared / "tokenizer")
