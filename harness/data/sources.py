"""The splits of a source (a file, a folder, the hub), unread, and which split plays which role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.data.files import ENDINGS, Rows, read_file, short, split_files
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec

TRAIN_NAMES = ("train_prefs", "train")
TEST_NAMES = ("test_prefs", "test", "validation", "eval", "dev")
SFT_NAMES = ("train_sft", "train")
Reader = Callable[[], Rows]


def find_splits(spec: DataSpec) -> tuple[Mapping[str, Reader], str]:
    """Every split of the source by name, unread, and what to call the source in messages."""
    path = Path(spec.source)
    if path.is_file():
        asked = spec.train_split or spec.test_split or spec.validation_split
        if asked:
            raise UserError(
                f'is one file and has no split "{asked}"',
                where=spec.source,
                remedy="give a folder with a file for each split, or leave the split out",
            )
        return {"train": lambda: read_file(path)}, spec.source
    if path.is_dir():
        return _folder(path), spec.source
    if looks_local(spec.source):
        raise UserError("no such file or folder", where=spec.source, remedy="check the path of --data")
    return _hub(spec), spec.source


def roles_of(splits: Mapping[str, Reader], spec: DataSpec, where: str) -> dict[str, str]:
    """Which split is for training, for the test and for validation; no split has two roles."""
    rest = {name: reader for name, reader in splits.items() if name != spec.validation_split}
    picked = {"train": _pick(splits, spec.train_split, TRAIN_NAMES, where, "train")}
    if spec.test_split or len(rest) > 1:
        on_offer = splits if spec.test_split else rest
        picked["test"] = _pick(on_offer, spec.test_split, TEST_NAMES, where, "test")
    if spec.validation_split:
        picked["validation"] = _pick(splits, spec.validation_split, (), where, "validation")
    roles = {role: name for role, name in picked.items() if name is not None}
    for role, name in roles.items():
        if list(roles.values()).count(name) > 1:
            raise UserError(
                f'split "{name}" is named twice, as {role} too',
                where=where,
                remedy="name another split for each of data.train_split, test_split and validation_split",
            )
    return roles


def sft_split(splits: Mapping[str, Reader], spec: DataSpec, where: str) -> str:
    """The split of SFT data to train on."""
    name = _pick(splits, spec.train_split, SFT_NAMES, where, "train")
    assert name is not None
    return name


def looks_local(source: str) -> bool:
    """Whether `source` can only be a path, never a hub name."""
    return source.startswith((".", "/", "~")) or source.endswith(ENDINGS) or source.count("/") > 1


def _pick(
    splits: Mapping[str, Reader], asked: str | None, usual: tuple[str, ...], where: str, role: str
) -> str | None:
    """The split to use for `role`: the one asked for, or the only one with a usual name."""
    on_offer = ", ".join(sorted(splits))
    if asked is not None:
        if asked not in splits:
            raise UserError(f'has no split "{asked}"', where=where, remedy=f"it has: {on_offer}")
        return asked
    exact = next((name for name in usual if name in splits), None)
    if exact is not None:
        return exact
    alike = [name for name in sorted(splits) if name.startswith(usual)]
    if not alike and role == "train" and len(splits) == 1:
        alike = list(splits)
    if len(alike) > 1 or (not alike and role == "train"):
        count = len(alike)
        raise UserError(
            f"has {count} splits that could be the {role}" if count else f"has no split called {role}",
            where=where,
            remedy=f"name one by --set data.{role}_split=: {on_offer}",
        )
    return alike[0] if alike else None


def _folder(path: Path) -> Mapping[str, Reader]:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        import datasets

        try:
            loaded = datasets.load_from_disk(str(path))
        except Exception as error:
            raise UserError(
                f"cannot be loaded as a saved data set ({short(error)})",
                where=str(path),
                remedy="save it again with save_to_disk, or give .jsonl or .parquet files",
            ) from error
        parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
        return {str(name): _rows_of(part, path, str(name)) for name, part in parts.items()}
    return split_files(path)


def _hub(spec: DataSpec) -> Mapping[str, Reader]:
    import datasets

    try:
        loaded = datasets.load_dataset(spec.source, spec.config, revision=spec.revision)
    except Exception as error:
        raise UserError(
            f'the data set "{spec.source}" cannot be loaded from the hub ({short(error)})',
            remedy="check the name, the network and HF_TOKEN (gated data needs one), or give a "
            "local file or folder by --data",
        ) from error
    return {str(name): _rows_of(part, spec.source, str(name)) for name, part in loaded.items()}


def _rows_of(part: Any, source: Path | str, split: str) -> Reader:
    return lambda: (part.to_list(), lambda index: f"{source} ({split}): row {index + 1}")
