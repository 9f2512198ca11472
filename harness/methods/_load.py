"""Models and data of a training stage, ready for a trainer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import peft
import pyarrow.parquet
import torch
import transformers
from trl.trainer.utils import disable_dropout_in_model

from harness.errors import UserError
from harness.methods import TrainJob
from harness.pipeline.spec import LoraSpec, TrainConfig


@dataclass(frozen=True)
class LoadedPolicy:
    """The policy and, where it is a plain model that shall get adapters, their config."""

    model: Any
    peft_config: peft.LoraConfig | None
    continues_adapter: bool


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


def load_policy(job: TrainJob) -> LoadedPolicy:
    """The model to train: full weights, a fresh adapter, or the earlier stage's adapter."""
    check_hardware(job.config)
    adapter = Path(job.model) / "adapter_config.json"
    if not adapter.is_file():
        model = load_base(job.model, job)
        return LoadedPolicy(model, lora_config(job.config.lora), False)
    base = load_base(json.loads(adapter.read_text())["base_model_name_or_path"], job)
    continues = job.config.lora is not None
    model = peft.PeftModel.from_pretrained(base, job.model, is_trainable=continues)
    if not continues:
        return LoadedPolicy(model.merge_and_unload(), None, False)
    _check_same_adapter(model.peft_config["default"], job.config.lora)
    return LoadedPolicy(model, None, True)


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
    disable_dropout_in_model(model)
    return model


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


def _check_same_adapter(found: Any, wanted: LoraSpec | None) -> None:
    assert wanted is not None
    if (found.r, float(found.lora_alpha)) != (wanted.r, float(wanted.alpha)):
        raise UserError(
            f"the earlier stage trained LoRA with r={found.r}, alpha={found.lora_alpha} and this "
            f"one wants r={wanted.r}, alpha={wanted.alpha}",
            remedy="give all stages of an arm the same lora",
        )


def load_tokenizer(prepared: Path) -> Any:
    """The tokenizer that the data was prepared with."""
    return transformers.AutoTokenizer.from_pretrained(prepared / "tokenizer")


def load_pairs(path: Path) -> datasets.Dataset:
    """Tokenised pairs, held in memory so that no cache outlives the stage."""
    columns = ["id", "prompt_ids", "chosen_ids", "rejected_ids"]
    present = pyarrow.parquet.read_schema(path).names
    return datasets.Dataset(pyarrow.parquet.read_table(path, columns=[c for c in columns if c in present]))


def as_sft(pairs: datasets.Dataset) -> datasets.Dataset:
    """Chosen answers as `input_ids` and `labels`, the prompt's labels being -100."""
    return datasets.Dataset.from_dict(
        {
            "id": pairs["id"],
            "input_ids": [r["prompt_ids"] + r["chosen_ids"] for r in pairs],
            "labels": [[-100] * len(r["prompt_ids"]) + r["chosen_ids"] for r in pairs],
        }
    )


def digest_rows(rows: list[Any]) -> str:
    """16 hex digits of a sha256 over `rows` as JSON."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def fingerprint_weights(model: Any, *, adapter: str | None = "default") -> str:
    """A digest of every parameter's sum and absolute sum, with those of one adapter or of none."""
    rows = [
        (
            name.replace(f".{adapter}", ""),
            float(p.detach().double().sum()),
            float(p.detach().double().abs().sum()),
        )
        for name, p in model.named_parameters()
        if "lora_" not in name or f".{adapter}." in name
    ]
    return digest_rows(rows)
