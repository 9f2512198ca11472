"""What is not loaded unasked: weights and data in pickle form, and code that a model brings along.

Unpickling runs whatever the file says. Weights are read as safetensors alone, data as text or tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import UserError

SAFE = ".safetensors"
PICKLED_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt")
PICKLED_DATA = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy", ".npz")
ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model"
SETTING = "trust_remote_code"
UNASKED: dict[str, Any] = {SETTING: False}
SAFELY: dict[str, Any] = {**UNASKED, "use_safetensors": True}
"""What libraries are told when a judge's config and tokenizer, or its weights, are loaded."""
_CONVERT = (
    "convert them to safetensors once, where you trust them: "
    "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW), beside its tokenizer, and give NEW"
)
_CONVERT_ADAPTER = (
    "convert it to safetensors once, where you trust it: safetensors.torch.save_file(torch.load("
    "'adapter_model.bin', weights_only=True), 'adapter_model.safetensors')"
)


def check_weights(names: Iterable[str], where: str) -> None:
    """Raise UserError for a model among whose files weights, or an adapter, are pickled only."""
    files = [Path(name) for name in names]
    safe = {file.stem for file in files if file.suffix == SAFE}
    pickled = sorted(file.name for file in files if file.suffix in PICKLED_WEIGHTS and _are_weights(file))
    is_adapter = any(file.name == ADAPTER_CONFIG for file in files)
    if f"{ADAPTER}.bin" in pickled and is_adapter and ADAPTER not in safe:
        raise _pickled(f"{ADAPTER}.bin", where, _CONVERT_ADAPTER)
    if pickled and not safe:
        raise _pickled(pickled[0], where, _CONVERT)


def check_folder(folder: Path, where: str) -> None:
    """`check_weights` of the files in a folder; of what is no folder nothing is known."""
    if folder.is_dir():
        check_weights([file.name for file in folder.iterdir()], where)


def check_data(path: Path) -> None:
    """Raise UserError for a file of data in pickle form."""
    if path.suffix.lower() in PICKLED_DATA:
        raise UserError(
            f"is a {path.suffix} file, which can run code when it is read, so it is not",
            where=str(path),
            remedy="write the rows as .jsonl or .parquet, where you trust the file "
            "(pandas.read_pickle(FILE).to_parquet(NEW)), and give that",
        )


@contextlib.contextmanager
def loading(name: str, *, asked_by: str | None = None) -> Iterator[None]:
    """Turn a library's refusal to load the model `name` for one of these reasons into one message.

    `asked_by` is the setting that lets code of the model's own run, where there is one.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        told = in_words(error, name, asked_by=asked_by)
        if told is None:
            raise
        raise told from error


def in_words(error: Exception, name: str, *, asked_by: str | None = None) -> UserError | None:
    """What such a refusal means; None for one that has another reason."""
    if SETTING in str(error):
        run_it = f"read that code; to run it give --set {asked_by}=true, which every report of the run says"
        return UserError(
            f'model "{name}" brings code of its own, which is not run unasked',
            remedy=run_it if asked_by else "take a model of a type that transformers knows",
        )
    if isinstance(error, OSError) and "file named model.safetensors" in str(error):
        return UserError(
            f'model "{name}" has no weights as safetensors, and pickled ones are not read', remedy=_CONVERT
        )
    return None


def _are_weights(file: Path) -> bool:
    """Trainers leave their settings beside the weights, in pickle form too."""
    return file.name not in ("training_args.bin", "optimizer.pt", "scheduler.pt", "optimizer.bin")


def _pickled(file: str, where: str, remedy: str) -> UserError:
    return UserError(
        f"has its weights as pickle alone ({file}), which can run code when it is read, so it is not",
        where=where,
        remedy=remedy,
    )
