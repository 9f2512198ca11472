"""The base model of a comparison: shipped, local, on the hub, or random weights from a config."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.families import check_family
from harness.errors import UserError
from harness.untrusted import SAFE, SETTING, check_folder, check_weights, in_words

EMBEDDED = Path(__file__).parent / "embedded" / "model"
CONFIG_PREFIX = "config:"
LOCAL = ("/", ".", "~")
"""What the name of a folder may begin with, and that of a model on the hub never does."""
_HUB_REMEDY = "check the name and the network (gated models need HF_TOKEN), or give a local folder"


@dataclass(frozen=True)
class BaseModel:
    """Where weights and tokenizer can be loaded from; a hub model's `revision` is its commit.

    `own_code`: code that the model brings along may run.
    """

    path: str
    revision: str | None
    digest: str
    random_weights: bool
    own_code: bool = False


def locate(model: str, revision: str | None, out: Path, *, own_code: bool = False) -> BaseModel:
    """The base model ready to load; raises UserError where config, tokenizer or weights lack, where the
    weights are pickled, and for code of the model's own, unless `own_code` says that it may run.

    Random weights are made once, in `out/base_model`. A hub model's files are fetched here, so
    that no arm's clock holds a download, and pinned to the commit that was fetched.
    """
    if model.startswith(CONFIG_PREFIX):
        folder = _from_config(Path(model.removeprefix(CONFIG_PREFIX)), out / "base_model", own_code)
        return BaseModel(str(folder), None, digest_folder(folder), True, own_code)
    folder = EMBEDDED if model == "embedded" else Path(model)
    if not folder.is_dir():
        if model.startswith(LOCAL):
            raise UserError("no such model folder", where=model, remedy="check the path of --model")
        return _from_hub(model, revision, own_code)
    check_folder(folder, str(folder))
    _config(str(folder), None, own_code)
    if not any(file.suffix == SAFE for file in folder.iterdir()):
        raise UserError(
            "holds no weights (.safetensors)",
            where=str(folder),
            remedy="give a folder with weights, or start from random ones with MODEL=config:FOLDER",
        )
    return BaseModel(str(folder.resolve()), None, digest_folder(folder), False, own_code)


def digest_folder(folder: Path) -> str:
    """16 hex digits over the names and contents of weights, config, tokenizer and code."""
    total = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt", ".py"):
            total.update(file.name.encode())
            with file.open("rb") as source:
                while block := source.read(1 << 22):
                    total.update(block)
    return total.hexdigest()[:16]


def load_tokenizer(base: BaseModel) -> Any:
    """The model's tokenizer; raises UserError for none, or for more tokens than the model has."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            base.path, revision=base.revision, trust_remote_code=base.own_code
        )
    except Exception as error:
        raise in_words(error, base.path, asked_by=SETTING) or UserError(
            f'the tokenizer of model "{base.path}" cannot be loaded ({_short(error)})', remedy=_HUB_REMEDY
        ) from error
    config = _config(base.path, base.revision, base.own_code).get_text_config()
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= config.vocab_size:
        raise UserError(
            f"the tokenizer has a token {largest} and the model {config.vocab_size} of them, counted from 0",
            where=base.path,
            remedy="use the tokenizer that belongs to the model, or raise vocab_size in its config.json",
        )
    return tokenizer


def _from_hub(name: str, revision: str | None, own_code: bool) -> BaseModel:
    """Fetch the model's files, or find them in the cache, and pin their commit."""
    _config(name, revision, own_code)
    folder = snapshot(name, revision, own_code=own_code)
    return BaseModel(name, folder.name, f"hub:{name}@{folder.name}", False, own_code)


def wanted_files(*, own_code: bool = False) -> dict[str, list[str]]:
    """Which files of a hub model are read, as `snapshot_download` takes them."""
    described = ["*.json", "*.model", "*.txt", "*.jinja", *(["*.py"] if own_code else [])]
    return {"allow_patterns": [*described, f"*{SAFE}"], "ignore_patterns": ["*/*", "consolidated*"]}


def snapshot(name: str, revision: str | None, *, own_code: bool = False) -> Path:
    """The folder of a hub model at one commit, whose name is the commit; raises UserError without weights."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, **wanted_files(own_code=own_code)))
    except Exception as error:
        raise UserError(f'model "{name}" cannot be loaded ({_short(error)})', remedy=_HUB_REMEDY) from error
    if any(file.suffix == SAFE for file in folder.iterdir()):
        return folder
    check_weights(_listed(name, folder), f'model "{name}"')
    raise UserError(
        f'model "{name}" has no weights (.safetensors) on the hub or in the cache', remedy=_HUB_REMEDY
    )


def _listed(name: str, folder: Path) -> list[str]:
    """The files of a hub model, by the hub and in the cache, which may hold what was fetched before."""
    from huggingface_hub import list_repo_files

    try:
        on_hub = list_repo_files(name, revision=folder.name)
    except Exception:
        # Without a network the cache is all that is known.
        on_hub = []
    return [*on_hub, *(file.name for file in folder.iterdir())]


def _config(path: str, revision: str | None, own_code: bool) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=own_code)
    except Exception as error:
        raise in_words(error, path, asked_by=SETTING) or UserError(
            f'model "{path}" cannot be loaded ({_short(error)})', remedy=_HUB_REMEDY
        ) from error
    check_family(config, f'model "{path}"', own_code=own_code)
    return config


def _from_config(source: Path, folder: Path, own_code: bool) -> Path:
    """Random weights (seed 0) in float32 for the config in `source`, beside its tokenizer.

    They are the same on every device; a stage holds them as its precision says.
    """
    import torch
    from transformers import AutoModelForCausalLM

    where = str(source)
    source = source.parent if source.name == "config.json" else source
    if not (source / "config.json").is_file():
        raise UserError(
            "holds no config.json",
            where=where,
            remedy="MODEL=config:FOLDER needs a transformers config and its tokenizer",
        )
    tokenizer = load_tokenizer(BaseModel(str(source), None, "", True, own_code))
    torch.manual_seed(0)
    try:
        config = _config(str(source), None, own_code)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=own_code)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise UserError(
            f"no model can be made of config.json ({_short(error)})",
            where=where,
            remedy="give the config of a causal language model",
        ) from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "ORIGIN").write_text(f"random weights (seed 0) for the config in {where}\n")
    return folder


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
