"""Load a base model, in the form in which it is trained or scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from harness.errors import UserError
from harness.generate import LoadedModel
from harness.generate.precision import Precision, compute_in, resolve_precision, round_as_autocast_does
from harness.measure import device
from harness.pipeline.model_form import ModelForm, Quantization
from harness.untrusted import ADAPTER_CONFIG, SETTING, check_folder, loading


def ready_to_load() -> None:
    """Let transformers make its table of renamed weights, once a process, before any clock runs."""
    get_checkpoint_conversion_mapping("")


def load_model(
    path: str,
    tokenizer: Path,
    *,
    stop_token_ids: list[int],
    revision: str | None = None,
    form: ModelForm | None = None,
    own_code: bool = False,
    weights: bool = True,
) -> LoadedModel:
    """The model at `path` (full weights, an adapter folder or a hub name), ready to answer.

    It computes as it did in training: by `form.precision`, adapters on the base that they were trained
    on, in its revision and quantised as it was. The generation settings that a model brings along (a
    repetition penalty, sampling) are put aside: only `GenerationSpec` says how answers are made. Without
    `weights` it is what an engine needs that loads them by itself.
    """
    transformers.utils.logging.disable_progress_bar()
    form = form or ModelForm()
    precision = resolve_precision(form.precision)
    model = None
    if weights:
        model = _with_weights(path, revision, form, precision, own_code)
        model.generation_config = transformers.GenerationConfig()
        model.eval()
    return LoadedModel(
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=own_code),
        stop_token_ids=stop_token_ids,
        device=precision.device,
        path=path,
        tokenizer_path=tokenizer,
        form=form,
        revision=revision,
        own_code=own_code,
    )


def _with_weights(
    path: str, revision: str | None, form: ModelForm, precision: Precision, own_code: bool
) -> Any:
    adapters = base_of_adapters(path)
    frozen = adapters is not None or form.adapters
    dtype = precision.below_adapters if frozen else precision.trained
    source = adapters or (path, revision)
    model = load_weights(*source, dtype, quantization=form.quantization, own_code=own_code)
    compute_in(model, precision)
    if adapters is not None:
        whole = precision.trained is torch.float32
        return peft.PeftModel.from_pretrained(model, path, autocast_adapter_dtype=whole).get_base_model()
    if precision.autocasts and not frozen:
        round_as_autocast_does(model)
    return model


def load_weights(
    path: str,
    revision: str | None,
    dtype: torch.dtype,
    *,
    quantization: Quantization = "none",
    attention: str | None = None,
    checkpointing: bool = False,
    on_device: bool = True,
    own_code: bool = False,
    rewards: bool = False,
) -> Any:
    """A causal LM from a folder or the hub, on the device or on the host; its weights are never pickled.

    `rewards`: the same body with one output for a sequence, a new one where the folder holds none.
    """
    settings: dict[str, Any] = {
        "revision": revision,
        "dtype": dtype,
        **({"num_labels": 1} if rewards else {}),
    }
    kind = transformers.AutoModelForSequenceClassification if rewards else transformers.AutoModelForCausalLM
    settings |= {"use_safetensors": True, "trust_remote_code": own_code}
    if attention is not None:
        settings["attn_implementation"] = attention
    if quantization != "none":
        check_quantization(f"quantization: {quantization}")
        settings["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=quantization == "4bit",
            load_in_8bit=quantization == "8bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    with loading(path, asked_by=SETTING):
        model = kind.from_pretrained(path, **settings)
    if quantization != "none":
        # What is not quantised is held in float32, in training and in scoring alike.
        return peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)
    if on_device:
        model.to(device.torch_device())
    return model


def base_of_adapters(path: str) -> tuple[str, str | None] | None:
    """The model that the adapters in a folder were trained on, and its revision; None for full weights."""
    described = Path(path) / ADAPTER_CONFIG
    check_folder(Path(path), path)
    if not described.is_file():
        return None
    config = json.loads(described.read_text(encoding="utf-8"))
    return config["base_model_name_or_path"], config.get("revision")


def check_quantization(wish: str) -> None:
    """Raise UserError where bitsandbytes or a CUDA GPU for it is missing."""
    if device.kind() != "cuda":
        raise UserError(f"{wish} needs a CUDA GPU and this machine has none", remedy="remove it")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{wish} needs bitsandbytes, which is not installed",
            remedy="pip install 'orpo-harness[quantization]'",
        ) from error
