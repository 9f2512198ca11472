"""Pairs from wherever they are: the embedded world, a file, a folder, the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.schemas import Pair, to_pairs
from harness.data.split import limit_pairs, split_pairs
from harness.errors import UserError
from harness.pipeline.spec import DataSpec

ENDINGS = (".jsonl", ".json", ".parquet", ".csv")
EMBEDDED_TRAIN, EMBEDDED_TEST = 896, 400
TRAIN_NAMES = ("train_prefs", "train")
TEST_NAMES = ("test_prefs", "test", "validation", "eval", "dev")
Converter = Callable[[list[dict[str, Any]], Callable[[int], str]], list[Pair]]


@dataclass(frozen=True)
class RawPairs:
    """Both splits, before any check; `origin` says where the test split came from."""

    train: list[Pair]
    test: list[Pair]
    origin: str


def load_pairs(spec: DataSpec, convert: Converter = to_pairs) -> RawPairs:
    """The pairs of `spec`; raises UserError with the place of the first thing that is wrong."""
    if spec.source == "embedded":
        return _embedded(spec)
    path = Path(spec.source)
    if path.is_file():
        splits = {"train": convert(*read_file(path))}
    elif path.is_dir():
        splits = _folder(path, spec, convert)
    elif looks_local(spec.source):
        raise UserError("no such file or folder", where=spec.source, remedy="check the path of --data")
    else:
        splits = _hub(spec, convert)
    train, test, origin = split_pairs(splits, spec.test_fraction)
    return RawPairs(limit_pairs(train, spec.limit), limit_pairs(test, spec.test_limit), origin)


def read_file(path: Path) -> tuple[list[dict[str, Any]], Callable[[int], str]]:
    """Rows of a file and where each stands."""
    if path.suffix == ".jsonl":
        return _read_jsonl(path)
    if path.suffix == ".json":
        return _read_json(path), lambda i: f"{path}: item {i + 1}"
    if path.suffix in (".parquet", ".csv"):
        return _read_table(path), lambda i: f"{path}: row {i + 1}"
    raise UserError(
        f"is a {path.suffix or 'file without an ending'}",
        where=str(path),
        remedy=f"give one of {', '.join(ENDINGS)}",
    )


def _read_jsonl(path: Path) -> tuple[list[dict[str, Any]], Callable[[int], str]]:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    with path.open("rb") as source:
        for number, line in enumerate(source, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise UserError(
                    f"is not valid JSON ({_short(error)})",
                    where=f"{path}:{number}",
                    remedy="write one JSON object a line",
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    "is no JSON object", where=f"{path}:{number}", remedy="write one JSON object a line"
                )
            rows.append(row)
            lines.append(number)
    return rows, lambda i: f"{path}:{lines[i]}"


def _read_json(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"is not valid JSON ({_short(error)})", where=str(path), remedy="give a JSON list of objects"
        ) from None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserError("is no list of objects", where=str(path), remedy="give a JSON list of objects")
    return data


def _read_table(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
            return rows
        import pandas

        frame = pandas.read_csv(path, keep_default_na=False)
        return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
    except (ValueError, OSError) as error:
        raise UserError(
            f"cannot be read ({_short(error)})", where=str(path), remedy="check the file"
        ) from None


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


def _folder(path: Path, spec: DataSpec, convert: Converter) -> dict[str, list[Pair]]:
    if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
        import datasets

        loaded = datasets.load_from_disk(str(path))
        parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
        return _pick(
            {
                str(k): (lambda k=k, v=v: convert(v.to_list(), _rows_of(path, k)))  # type: ignore[misc]
                for k, v in parts.items()
            },
            spec,
            str(path),
        )
    files = sorted(f for f in path.rglob("*") if f.suffix in ENDINGS)
    if not files:
        raise UserError("holds no data", where=str(path), remedy=f"put {', '.join(ENDINGS)} files there")
    readers = {f.stem: (lambda f=f: convert(*read_file(f))) for f in files}  # type: ignore[misc]
    return _pick(readers, spec, str(path))


def _rows_of(path: Path | str, split: str) -> Callable[[int], str]:
    return lambda i: f"{path} ({split}): row {i + 1}"


def _pick(
    readers: Mapping[str, Callable[..., list[Pair]]], spec: DataSpec, where: str
) -> dict[str, list[Pair]]:
    """The training and the test part among those on offer."""
    found: dict[str, list[Pair]] = {}
    wishes = (("train", spec.train_split, TRAIN_NAMES), ("test", spec.test_split, TEST_NAMES))
    for role, asked, usual in wishes:
        if asked is not None and asked not in readers:
            raise UserError(
                f'has no split "{asked}"', where=where, remedy=f"it has: {', '.join(sorted(readers))}"
            )
        exact = [name for name in usual if name in readers]
        loose = [n for n in sorted(readers) if any(n.startswith(u) for u in usual)]
        name = asked or next(iter([*exact, *loose]), None)
        if name is None and role == "train":
            if len(readers) != 1:
                raise UserError(
                    "has no split called train",
                    where=where,
                    remedy=f"name one by --set data.train_split=: {', '.join(sorted(readers))}",
                )
            name = next(iter(readers))
        if name is not None:
            found[role] = readers[name]()
    return found


def _embedded(spec: DataSpec) -> RawPairs:
    from harness.data.embedded.world import pairs

    def part(split: Any, count: int) -> list[Pair]:
        return [Pair(r["id"], r["prompt"], r["chosen"], r["rejected"]) for r in pairs(split, count)]

    test_split = spec.test_split or "test"
    if test_split not in ("test", "dev"):
        raise UserError(f'the embedded world has no split "{test_split}"', remedy="use test or dev")
    train = part("train", spec.limit or EMBEDDED_TRAIN)
    return RawPairs(
        train, part(test_split, spec.test_limit or EMBEDDED_TEST), f"the world's {test_split} split"
    )


def _hub(spec: DataSpec, convert: Converter) -> dict[str, list[Pair]]:
    import datasets

    name = spec.source
    try:
        loaded = datasets.load_dataset(name, spec.config, revision=spec.revision)
    except Exception as error:
        raise UserError(
            f'the data set "{name}" cannot be loaded from the hub ({_short(error)})',
            remedy="check the name, the network and HF_TOKEN (gated data needs one), or give a "
            "local file or folder by --data",
        ) from error
    return _pick(
        {
            str(k): (lambda k=k, v=v: convert(v.to_list(), _rows_of(name, k)))  # type: ignore[misc]
            for k, v in loaded.items()
        },
        spec,
        name,
    )


def looks_local(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.endswith(ENDINGS) or source.count("/") > 1
