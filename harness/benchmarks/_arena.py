"""Prompts of a file that arms answer for people to judge: nothing is scored (`harness arena --prompts`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.benchmarks import CheckContext
from harness.data.files import read_file
from harness.data.schemas import ROLES, digest
from harness.errors import UserError
from harness.generate import Prompt
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel


class Config(SpecModel):
    """`prompts` is a .json, .jsonl, .parquet or .csv file of rows with `prompt`, text or messages."""

    prompts: str


def files(config: Config) -> list[Named]:
    """The prompts: others are answered anew."""
    return [Path(config.prompts)]


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for a file that cannot be read as prompts."""
    read_prompts(Path(config.prompts))


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """Every conversation of the file once."""
    return read_prompts(Path(config.prompts))


def read_prompts(path: Path) -> list[Prompt]:
    """The file's prompts in its order, each once; raises UserError where it holds none or a row is none."""
    if not path.is_file():
        raise UserError("is no file", where=str(path), remedy='give a .jsonl file of rows {"prompt": text}')
    rows, where = read_file(path)
    found: dict[str, Prompt] = {}
    for index, row in enumerate(rows):
        messages = _messages(row.get("prompt"), where(index))
        key = digest(repr(messages))
        found.setdefault(key, Prompt(id=key, benchmark="_arena", messages=messages))
    if not found:
        raise UserError("holds no prompts", where=str(path), remedy='give rows {"prompt": text}')
    return list(found.values())


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    """Text is what a user says; messages end with the user's."""
    if isinstance(value, str) and value.strip():
        return [{"role": "user", "content": value}]
    are_messages = isinstance(value, list) and value and all(_is_message(one) for one in value)
    if are_messages and value[-1]["role"] == "user":
        return [{"role": one["role"], "content": one["content"]} for one in value]
    raise UserError(
        "has no prompt that can be answered",
        where=where,
        remedy='give {"prompt": text}, or messages {"role": ..., "content": text} that end with the user\'s',
    )


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("role") in ROLES and isinstance(value.get("content"), str)
