"""Rows of many shapes into one: prompt messages, a chosen and a rejected answer.

Known shapes: an explicit `prompt` (text or messages) with `chosen` and `rejected` as text, as
messages, or as whole conversations that repeat the prompt (UltraFeedback-binarized); or no
`prompt`, and two conversations or texts that share a beginning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError, nearest

Messages = list[dict[str, str]]
Where = Callable[[int], str]


@dataclass(frozen=True)
class Pair:
    """One prompt with its chosen and rejected answer. `group` is equal for equal prompts."""

    id: str
    prompt: Messages
    chosen: str
    rejected: str

    @property
    def group(self) -> str:
        return digest(json.dumps(self.prompt, sort_keys=True))


def digest(text: str) -> str:
    """16 hex digits that name `text`."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def to_pairs(rows: Iterable[dict[str, Any]], where: Where) -> list[Pair]:
    """All rows as pairs with unique ids; `where(i)` is where row i stands, for messages."""
    pairs: list[Pair] = []
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        prompt, chosen, rejected = _read(row, where(index))
        named = row.get("prompt_id") or row.get("id") or row.get("uid")
        key = digest(json.dumps([prompt, chosen, rejected]))
        identity = f"{named}-{key[:8]}" if named else key
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] > 1:
            identity = f"{identity}.{seen[identity]}"
        pairs.append(Pair(identity, prompt, chosen, rejected))
    return pairs


def to_conversations(rows: Iterable[dict[str, Any]], where: Where) -> list[Pair]:
    """Rows of SFT data (`messages`, or `prompt` with `completion`) as pairs without a loser."""
    pairs = []
    for index, row in enumerate(rows):
        if isinstance(row.get("messages"), list):
            messages = _messages(row["messages"], "messages", where(index))
        elif "prompt" in row and ("completion" in row or "response" in row):
            answer = str(row.get("completion", row.get("response")))
            messages = [
                *_as_messages(row["prompt"], "prompt", where(index)),
                {"role": "assistant", "content": answer},
            ]
        else:
            raise UserError(
                "holds neither messages nor prompt and completion",
                where=where(index),
                remedy="give SFT data as conversations in a column `messages`",
            )
        last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=0)
        if last:
            prompt, answer = messages[:last], messages[last]["content"]
            pairs.append(Pair(digest(json.dumps([prompt, answer, index])), prompt, answer, ""))
    return pairs


def _read(row: dict[str, Any], where: str) -> tuple[Messages, str, str]:
    for column in ("chosen", "rejected"):
        if row.get(column) is None:
            guess = nearest(column, row)
            hint = f'there is "{guess}"; rename it' if guess else f"columns: {', '.join(row) or 'none'}"
            raise UserError(
                f"has no {column} answer",
                where=where,
                remedy=f"every pair needs prompt, chosen and rejected ({hint})",
            )
    chosen, rejected = row["chosen"], row["rejected"]
    if row.get("prompt") is not None:
        prompt = _as_messages(row["prompt"], "prompt", where)
        answers = [
            _answer(side, prompt, name, where) for name, side in (("chosen", chosen), ("rejected", rejected))
        ]
        shared = _shared_prompt(chosen, rejected, where)
        return (shared or prompt), answers[0], answers[1]
    return _split_shared(chosen, rejected, where)


def _shared_prompt(chosen: Any, rejected: Any, where: str) -> Messages | None:
    """The turns that two whole conversations share, which may hold a system message."""
    if not (isinstance(chosen, list) and isinstance(rejected, list) and len(chosen) > 1):
        return None
    shared = _prefix(_messages(chosen, "chosen", where), _messages(rejected, "rejected", where))
    return shared if any(m["role"] == "user" for m in shared) else None


def _split_shared(chosen: Any, rejected: Any, where: str) -> tuple[Messages, str, str]:
    if isinstance(chosen, list) and isinstance(rejected, list):
        left, right = _messages(chosen, "chosen", where), _messages(rejected, "rejected", where)
        shared = _prefix(left[:-1], right[:-1])
        if len(shared) != len(left) - 1 or len(left) != len(right) or not shared:
            raise UserError(
                "chosen and rejected share no prompt",
                where=where,
                remedy="give a column `prompt`, or conversations that differ in the last turn only",
            )
        return shared, left[-1]["content"], right[-1]["content"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        marker = "\n\nAssistant:"
        head, found, answer = chosen.rpartition(marker)
        other, also, worse = rejected.rpartition(marker)
        if found and also and head == other:
            return (
                [{"role": "user", "content": head.removeprefix("\n\nHuman:").strip()}],
                answer.strip(),
                worse.strip(),
            )
    raise UserError(
        "has no prompt, and none can be told from chosen and rejected",
        where=where,
        remedy="give a column `prompt`",
    )


def _answer(value: Any, prompt: Messages, name: str, where: str) -> str:
    if isinstance(value, str):
        return value
    messages = _messages(value, name, where)
    if not messages or messages[-1]["role"] != "assistant":
        raise UserError(
            f"{name} does not end with an assistant's message",
            where=where,
            remedy="end it with {role: assistant, content: ...}",
        )
    return messages[-1]["content"]


def _as_messages(value: Any, name: str, where: str) -> Messages:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return _messages(value, name, where)


def _messages(value: Any, name: str, where: str) -> Messages:
    try:
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in value]
    except (TypeError, KeyError, IndexError):
        raise UserError(
            f"{name} is neither text nor a list of messages",
            where=where,
            remedy="write text, or [{role: ..., content: ...}, ...]",
        ) from None


def _prefix(left: Messages, right: Messages) -> Messages:
    shared = []
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        shared.append(a)
    return shared
