"""The base model of a comparison: shipped, local, on the hub, or random weights from a config."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError

EMBEDDED = Path(__file__).parent / "embedded" / "model"
CONFIG_PREFIX = "config:"


@dataclass(frozen=True)
class BaseModel:
    """Where weights and tokenizer can be loaded from."""

    path: str
    revision: str | None
    digest: str
    random_weights: bool


def locate(model: str, revision: str | None, out: Path) -> BaseModel:
    """The base model ready to load; random weights are made once, in `out/base_model`."""
    if model.startswith(CONFIG_PREFIX):
        folder = _from_config(Path(model.removeprefix(CONFIG_PREFIX)), out / "base_model")
        return BaseModel(str(folder), None, digest_folder(folder), True)
    folder = EMBEDDED if model == "embedded" else Path(model)
    if folder.is_dir():
        return BaseModel(str(folder.resolve()), None, digest_folder(folder), False)
    return BaseModel(model, revision, f"hub:{model}@{revision}", False)


def digest_folder(folder: Path) -> str:
    """16 hex digits over the names and contents of weights, config and tokenizer files."""
    total = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt"):
            total.update(file.name.encode())
            with file.open("rb") as source:
                while block := source.read(1 << 22):
                    total.update(block)
    return total.hexdigest()[:16]


def load_tokenizer(base: BaseModel) -> Any:
    """The model's tokenizer; raises UserError where there is none to be had."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(base.path, revision=base.revision)
    except Exception as error:
        raise UserError(
            f'the tokenizer of model "{base.path}" cannot be loaded ({str(error).splitlines()[0][:120]})',
            remedy="check the name and the network (gated models need HF_TOKEN), or give a local folder",
        ) from error


def check_weights(base: BaseModel) -> None:
    """Raise UserError now where the config of the weights cannot be loaded."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(base.path, revision=base.revision)
    except Exception as error:
        raise UserError(
            f'model "{base.path}" cannot be loaded ({str(error).splitlines()[0][:120]})',
            remedy="check the name and the network (gated models need HF_TOKEN), or give a local folder",
        ) from error


def _from_config(source: Path, folder: Path) -> Path:
    """Random weights (seed 0) for the config in `source`, beside its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where = str(source)
    if source.is_file():
        source = source.parent
    if not (source / "config.json").is_file():
        raise UserError(
            "holds no config.json",
            where=where,
            remedy="MODEL=config:FOLDER needs a transformers config and its tokenizer",
        )
    config = AutoConfig.from_pretrained(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except Exception as error:
        raise UserError(
            f"holds no tokenizer ({str(error).splitlines()[0][:100]})",
            where=where,
            remedy="put the tokenizer's files beside config.json",
        ) from error
    if len(tokenizer) > config.vocab_size:
        raise UserError(
            f"the tokenizer has {len(tokenizer)} tokens and the config {config.vocab_size}",
            where=where,
            remedy="raise vocab_size in config.json",
        )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        model.to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "origin.json").write_text(json.dumps({"config": where, "seed": 0}))
    return folder
