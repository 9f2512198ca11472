"""Rows of many shapes into one: prompt messages, a chosen and a rejected answer.

Known shapes: an explicit `prompt` (text or messages) with `chosen` and `rejected` as text, as
messages, or as whole conversations that repeat the prompt (UltraFeedback-binarized); or no
`prompt`, and two conversations or transcripts that differ in their last message only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import UserError, nearest

Messages = list[dict[str, str]]
Where = Callable[[int], str]
ROLES = ("system", "user", "assistant")
ACCEPTED = (
    'a row is {"prompt": text, "chosen": text, "rejected": text}; each may be a list of messages '
    '[{"role": "user", "content": text}, ...]; without a prompt, chosen and rejected are conversations or '
    '"Human: ... Assistant: ..." transcripts that differ in the last turn; docs/data.md has examples'
)
_TURN = re.compile(r"\n\n(Human|Assistant):")


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


@dataclass(frozen=True)
class ReadPairs:
    """All pairs of some rows, and what is wrong with each row that was left out, with its place."""

    pairs: list[Pair]
    diverging: list[str] = field(default_factory=list)


def to_pairs(rows: Sequence[dict[str, Any]], where: Where) -> ReadPairs:
    """All rows as pairs with unique ids; `where(i)` is where row i stands, for messages.

    Where no row has a `prompt`, it is what chosen and rejected share, and a row in which they share none
    is left out. Raises UserError for the first row that lacks an answer or a prompt, and where all diverge.
    """
    seen: dict[str, int] = {}
    pairs: list[Pair] = []
    diverging: list[UserError] = []
    implicit = all(row.get("prompt") is None for row in rows)
    for index, row in enumerate(rows):
        _require_answers(row, where(index))
        try:
            prompt, chosen, rejected = _read(row, where(index))
        except UserError as error:
            if not implicit:
                raise
            diverging.append(error)
            continue
        pairs.append(Pair(_identity(row, [prompt, chosen, rejected], seen), prompt, chosen, rejected))
    if diverging and not pairs:
        raise diverging[0]
    return ReadPairs(pairs, [f"{error.where}: {error.fact}" for error in diverging])


def to_conversations(rows: Iterable[dict[str, Any]], where: Where) -> list[Pair]:
    """Rows of SFT data as pairs without a loser; the last assistant's message is the answer.

    Takes `messages` (UltraChat), `prompt` with `completion` or `response`, or the `chosen` side
    of preference data. A conversation without an answer gets an empty one, which is dropped and
    counted when it is tokenised.
    """
    seen: dict[str, int] = {}
    pairs: list[Pair] = []
    for index, row in enumerate(rows):
        messages = _conversation(row, where(index))
        last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=0)
        prompt, answer = (messages[:last], messages[last]["content"]) if last else (messages, "")
        pairs.append(Pair(_identity(row, [prompt, answer], seen), prompt, answer, ""))
    return pairs


def _identity(row: dict[str, Any], content: list[Any], seen: dict[str, int]) -> str:
    """The row's own id with a hash of its content; a repeated row gets a number. `pair_id` is the whole id of
    a pair that was read before."""
    if row.get("pair_id") and str(row["pair_id"]) not in seen:
        seen[str(row["pair_id"])] = 1
        return str(row["pair_id"])
    named = row.get("prompt_id") or row.get("id") or row.get("uid")
    key = digest(json.dumps(content))
    identity = f"{named}-{key[:8]}" if named else key
    seen[identity] = seen.get(identity, 0) + 1
    return identity if seen[identity] == 1 else f"{identity}.{seen[identity]}"


def _conversation(row: dict[str, Any], where: str) -> Messages:
    if row.get("messages") is not None:
        return _messages(row["messages"], "messages", where)
    answer = next((row[k] for k in ("completion", "response", "chosen") if row.get(k) is not None), None)
    if answer is not None and row.get("prompt") is not None:
        turns = _turns(answer, "the answer", where)
        prompt = _as_messages(row["prompt"], "prompt", where)
        return turns if turns[0]["role"] != "assistant" else [*prompt, *turns]
    if isinstance(answer, list):
        return _messages(answer, "chosen", where)
    raise UserError(
        "holds neither messages nor prompt and completion",
        where=where,
        remedy="give SFT data as conversations in a column `messages`",
    )


def _require_answers(row: dict[str, Any], where: str) -> None:
    for column in ("chosen", "rejected"):
        if row.get(column) is None:
            guess = nearest(column, [name for name in row if name not in ("chosen", "rejected")])
            hint = f'there is "{guess}"; rename it' if guess else f"columns: {', '.join(row) or 'none'}"
            raise UserError(
                f"has no {column} answer",
                where=where,
                remedy=f"every pair needs prompt, chosen and rejected ({hint}); {ACCEPTED}",
            )


def _read(row: dict[str, Any], where: str) -> tuple[Messages, str, str]:
    chosen, rejected = row["chosen"], row["rejected"]
    if row.get("prompt") is None:
        return _split_shared(chosen, rejected, where)
    prompt = _as_messages(row["prompt"], "prompt", where)
    left, right = _turns(chosen, "chosen", where), _turns(rejected, "rejected", where)
    return _whole_prompt(prompt, left[:-1], right[:-1], where), left[-1]["content"], right[-1]["content"]


def _whole_prompt(prompt: Messages, left: Messages, right: Messages, where: str) -> Messages:
    """The prompt of answers that come after the turns `left` and `right`, which may repeat it."""
    if left == right:
        if left and left[0]["role"] != "assistant":
            return left
        return [*prompt, *left]
    if prompt in (left, right) and [] in (left, right):
        return prompt
    raise UserError(
        "chosen and rejected differ before their last message",
        where=where,
        remedy="let them share every turn but the last",
    )


def _split_shared(chosen: Any, rejected: Any, where: str) -> tuple[Messages, str, str]:
    if isinstance(chosen, str) and isinstance(rejected, str):
        chosen, rejected = _transcript(chosen), _transcript(rejected)
    if not chosen or not rejected or isinstance(chosen, str) or isinstance(rejected, str):
        raise UserError(
            "has no prompt, and none can be told from chosen and rejected",
            where=where,
            remedy=f"give a column `prompt`: {ACCEPTED}",
        )
    left, right = _turns(chosen, "chosen", where), _turns(rejected, "rejected", where)
    if left[:-1] != right[:-1] or not any(m["role"] == "user" for m in left[:-1]):
        raise UserError(
            "chosen and rejected share no prompt",
            where=where,
            remedy="give a column `prompt`, or conversations that differ in the last turn only",
        )
    if not _alternates(left):
        raise UserError(
            "user and assistant do not take turns",
            where=where,
            remedy="give conversations in which they do, or a column `prompt`",
        )
    return left[:-1], left[-1]["content"], right[-1]["content"]


def _alternates(messages: Messages) -> bool:
    """Whether user and assistant take turns, after a system message or none."""
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    return turns == ["user", "assistant"] * (len(turns) // 2)


def _transcript(text: str) -> Messages:
    """The turns of a text with `Human:` and `Assistant:` headings (hh-rlhf); [] for other text."""
    before, *parts = _TURN.split("\n\n" + text.lstrip("\n"))
    if before.strip():
        return []
    roles = ("assistant" if name == "Assistant" else "user" for name in parts[::2])
    return [{"role": r, "content": c.strip()} for r, c in zip(roles, parts[1::2], strict=True)]


def _turns(value: Any, name: str, where: str) -> Messages:
    """An answer as messages that end with the assistant's."""
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    messages = _messages(value, name, where)
    if messages[-1]["role"] != "assistant":
        raise UserError(
            f"{name} does not end with an assistant's message",
            where=where,
            remedy="end it with {role: assistant, content: ...}",
        )
    return messages


def _as_messages(value: Any, name: str, where: str) -> Messages:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return _messages(value, name, where)


def _messages(value: Any, name: str, where: str) -> Messages:
    if not isinstance(value, list) or not value or not all(_is_message(m) for m in value):
        raise UserError(
            f"{name} is neither text nor a list of messages",
            where=where,
            remedy="write text, or [{role: ..., content: ...}, ...] with text as content",
        )
    strange = next((m["role"] for m in value if m["role"] not in ROLES), None)
    if strange is not None:
        raise UserError(
            f'{name} has a message of role "{strange}"', where=where, remedy=f"use {', '.join(ROLES)}"
        )
    return [{"role": m["role"], "content": m["content"]} for m in value]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(k), str) for k in ("role", "content"))
