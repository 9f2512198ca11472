"""Pairs from wherever they are: the embedded world, a file, a folder, the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.files import ENDINGS, Rows, read_file, short, split_files
from harness.data.schemas import Pair, to_conversations, to_pairs
from harness.data.split import limit_pairs, split_pairs, without_overlap
from harness.errors import UserError
from harness.pipeline.spec import DataSpec

EMBEDDED_TRAIN, EMBEDDED_TEST = 896, 400
TRAIN_NAMES = ("train_prefs", "train")
TEST_NAMES = ("test_prefs", "test", "validation", "eval", "dev")
SFT_NAMES = ("train_sft", "train")
Reader = Callable[[], Rows]


@dataclass(frozen=True)
class RawPairs:
    """Both splits, before any check.

    `origin` says where the test split came from, `train_available` and `test_available` how
    many pairs there were before `data.limit` and `data.test_limit`; `test_overlap` how many test
    pairs were dropped because training has their prompt.
    """

    train: list[Pair]
    test: list[Pair]
    origin: str
    train_available: int
    test_available: int
    test_overlap: int = 0


def load_pairs(spec: DataSpec) -> RawPairs:
    """The pairs of `spec`; raises UserError with the place of the first thing that is wrong."""
    if spec.source == "embedded":
        return _embedded(spec)
    splits, where = _splits(spec)
    names = {"train": _pick(splits, spec.train_split, TRAIN_NAMES, where, "train")}
    if spec.test_split or len(splits) > 1:
        names["test"] = _pick(splits, spec.test_split, TEST_NAMES, where, "test")
    if names["train"] == names.get("test"):
        raise UserError(
            f'split "{names["train"]}" is named for training and for the test',
            where=where,
            remedy="name two splits, or leave data.test_split out",
        )
    parts = {role: to_pairs(*splits[name]()) for role, name in names.items() if name is not None}
    train, test, origin = split_pairs(parts, spec.test_fraction)
    kept = without_overlap(train, test) if spec.test_overlap == "drop" else test
    if test and not kept:
        raise UserError(
            f"the prompt of every one of {len(test)} test pairs stands in training",
            where=spec.source,
            remedy="give another test split, or --set data.test_overlap=keep to test on known prompts",
        )
    return RawPairs(
        limit_pairs(train, spec.limit),
        limit_pairs(kept, spec.test_limit),
        origin,
        len(train),
        len(test),
        len(test) - len(kept),
    )


def load_conversations(spec: DataSpec) -> RawPairs:
    """SFT data of an arm's own: all of the training split, no test split."""
    if spec.source == "embedded":
        raw = _embedded(spec)
        return RawPairs(raw.train, [], "none", raw.train_available, 0)
    splits, where = _splits(spec)
    name = _pick(splits, spec.train_split, SFT_NAMES, where, "train")
    assert name is not None
    rows = to_conversations(*splits[name]())
    return RawPairs(limit_pairs(rows, spec.limit), [], "none", len(rows), 0)


def looks_local(source: str) -> bool:
    """Whether `source` can only be a path, never a hub name."""
    return source.startswith((".", "/", "~")) or source.endswith(ENDINGS) or source.count("/") > 1


def _splits(spec: DataSpec) -> tuple[Mapping[str, Reader], str]:
    """Every split of the source by name, unread, and what to call the source in messages."""
    path = Path(spec.source)
    if path.is_file():
        asked = spec.train_split or spec.test_split
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


def _embedded(spec: DataSpec) -> RawPairs:
    from harness.data.embedded.world import pairs

    def part(split: Any, count: int) -> list[Pair]:
        return [Pair(r["id"], r["prompt"], r["chosen"], r["rejected"]) for r in pairs(split, count)]

    test_split = spec.test_split or "test"
    if test_split not in ("test", "dev"):
        raise UserError(f'the embedded world has no split "{test_split}"', remedy="use test or dev")
    train = part("train", spec.limit or EMBEDDED_TRAIN)
    test = part(test_split, spec.test_limit or EMBEDDED_TEST)
    return RawPairs(train, test, f"the world's {test_split} split", len(train), len(test))
