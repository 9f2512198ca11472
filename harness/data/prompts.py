"""Prompts of a file, which nobody has answered yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data.files import read_file
from harness.data.schemas import ROLES, Messages, digest
from harness.errors import UserError


def read_prompts(path: Path) -> dict[str, Messages]:
    """Conversations by a digest of theirs, in the file's order, each once.

    Raises UserError where it holds none, or a row is none.
    """
    if not path.is_file():
        raise UserError("is no file", where=str(path), remedy='give a .jsonl file of rows {"prompt": text}')
    rows, where = read_file(path)
    found: dict[str, Messages] = {}
    for index, row in enumerate(rows):
        messages = _messages(row.get("prompt"), where(index))
        found.setdefault(digest(repr(messages)), messages)
    if not found:
        raise UserError("holds no prompts", where=str(path), remedy='give rows {"prompt": text}')
    return found


def _messages(value: Any, where: str) -> Messages:
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
