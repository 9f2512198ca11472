"""Rows of local files, each with the place where it stands, and the splits of a folder."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.untrusted import check_data

ENDINGS = (".jsonl", ".json", ".parquet", ".csv")
LONGEST_CELL = 2**31 - 1
Rows = tuple[list[dict[str, Any]], Callable[[int], str]]
_SHARD = re.compile(r"[-_.]?(\d{4,5})-of-(\d{4,5})$")
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json")


def read_file(path: Path) -> Rows:
    """Rows of a file and where each stands; raises UserError with the line where it can."""
    try:
        if path.suffix == ".jsonl":
            return _read_jsonl(path)
        if path.suffix == ".json":
            return _read_json(path), lambda i: f"{path}: item {i + 1}"
        if path.suffix == ".parquet":
            return _read_parquet(path), lambda i: f"{path}: row {i + 1}"
        if path.suffix == ".csv":
            return _read_csv(path), lambda i: f"{path}: row {i + 1}"
    except OSError as error:
        raise UserError(
            f"cannot be read ({short(error)})", where=str(path), remedy="check the file"
        ) from None
    check_data(path)
    raise UserError(
        f"is a {path.suffix or 'file without an ending'}",
        where=str(path),
        remedy=f"give one of {', '.join(ENDINGS)}",
    )


def split_files(folder: Path) -> Mapping[str, Callable[[], Rows]]:
    """A reader for each split of a folder, named by its files; shards of a split are joined.

    `train-00000-of-00002.parquet` is a shard of `train`, `train/0000.parquet` too. Raises
    UserError for a missing shard and for two files that could both be the split.
    """
    groups: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in ENDINGS and file.name not in _DESCRIPTIONS and not hidden:
            groups.setdefault(_split_name(file, folder), []).append(file)
    if not groups:
        for file in sorted(folder.rglob("*")):
            check_data(file)
        raise UserError("holds no data", where=str(folder), remedy=f"put {', '.join(ENDINGS)} files there")
    for name, files in groups.items():
        _check_shards(name, files, folder)
    return {name: (lambda files=files: _join(files)) for name, files in groups.items()}  # type: ignore[misc]


def short(error: Exception) -> str:
    """The first line of an error's message, or what it means."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "no UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        return f"{error.msg.removesuffix(' at')} at {line}column {error.colno}"
    if "int_max_str_digits" in str(error):
        return "a number of too many digits"
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


def _split_name(file: Path, folder: Path) -> str:
    stem = _SHARD.sub("", file.stem)
    unnamed = not stem or stem.isdigit() or (stem == "data" and stem != file.stem)
    return file.parent.name if unnamed and file.parent != folder else stem or file.stem


def _check_shards(name: str, files: list[Path], folder: Path) -> None:
    numbers = [_SHARD.search(file.stem) for file in files]
    expected = {int(number[2]) for number in numbers if number}
    if expected and (None in numbers or expected != {len(files)}):
        raise UserError(
            f"split {name} has {len(files)} of {max(expected)} files",
            where=str(folder),
            remedy="put every shard there, and nothing else of that name",
        )
    whole = [file for file, number in zip(files, numbers, strict=True) if not number]
    if len(whole) > 1 and not all(file.stem.isdigit() for file in whole):
        raise UserError(
            f"split {name} stands in {len(whole)} files ({', '.join(f.name for f in whole[:3])})",
            where=str(folder),
            remedy="keep one of them",
        )


def _join(files: list[Path]) -> Rows:
    rows: list[dict[str, Any]] = []
    places: list[tuple[Callable[[int], str], int]] = []
    for file in files:
        part, place = read_file(file)
        places += [(place, index) for index in range(len(part))]
        rows += part
    return rows, lambda index: places[index][0](places[index][1])


def _read_jsonl(path: Path) -> Rows:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    with path.open("rb") as source:
        for number, line in enumerate(source, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"is not valid JSON ({short(error)})",
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
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"is not valid JSON ({short(error)})", where=str(path), remedy="give a JSON list of objects"
        ) from None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserError("is no list of objects", where=str(path), remedy="give a JSON list of objects")
    return data


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    try:
        with path.open("rb") as source:
            rows: list[dict[str, Any]] = pyarrow.parquet.read_table(source).to_pylist()
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from None
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """Every cell as the text it is: `7` stays text, and `NA` is an answer like any other."""
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            header, *rows = [row for row in csv.reader(source, strict=True) if row] or [[]]
    except (ValueError, csv.Error) as error:
        raise _unreadable(path, error) from None
    if not header:
        remedy = "name the columns in its first line: prompt,chosen,rejected"
        raise UserError("holds nothing", where=str(path), remedy=remedy)
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UserError(f'has two columns "{twice}"', where=str(path), remedy="keep one of them")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise UserError(
                f"has {len(row)} cells, and the header names {len(header)} columns",
                where=f"{path}: row {number}",
                remedy="put text with commas or line ends in double quotes",
            )
    return [{name: _cell(cell) for name, cell in zip(header, row, strict=True)} for row in rows]


def _cell(value: str) -> Any:
    """Text, or messages where the cell holds them as JSON or as Python prints them."""
    if not re.match(r"\s*\[\s*\{\s*['\"](role|content)['\"]", value):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = re.sub(r"^Could not open Parquet input source '<Buffer>': ", "", short(error))
    return UserError(f"cannot be read ({reason})", where=str(path), remedy="check the file")
