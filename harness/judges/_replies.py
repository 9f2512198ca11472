"""What a server's reply says, whatever it is: a choice, or what is wrong with it. Pure.

A server is not ours: its reply may be no JSON, hold no answer, be endless, or repeat our key.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

from harness.jsonl import well_formed
from harness.redact import redact

MOST_BYTES = 8 << 20
GZIP = b"\x1f\x8b"
MOST_CHARACTERS = 100_000
MOST_TOKENS = 1_000_000_000
NOT_JSON, TOO_LONG, REFUSAL, NO_CHOICE, NO_TEXT = (
    "no JSON",
    "too long",
    "an error in the place of an answer",
    "no choice in it",
    "no text in it",
)
NO_ANSWERS = (NOT_JSON, TOO_LONG, REFUSAL, NO_CHOICE)
"""Faults of a server that does not answer as it should; a model may write no text for reasons of its own."""
ENDINGS = ("stop", "length", "content_filter", "tool_calls", "function_call")


@dataclass(frozen=True)
class Reply:
    """A choice as it is kept (`message`, `logprobs`, `finish_reason`), input and output tokens where the
    server says them, and what is wrong with it."""

    choice: dict[str, Any]
    tokens: tuple[int, int] | None = None
    fault: str | None = None


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion."""
    try:
        body = _unpacked(body)
        if len(body) >= MOST_BYTES:
            return Reply(choice_of({}), fault=TOO_LONG)
        whole = json.loads(body)
    except (ValueError, RecursionError, zlib.error):
        return Reply(choice_of({}), fault=NOT_JSON)
    if not isinstance(whole, dict):
        return Reply(choice_of({}), fault=NO_CHOICE)
    tokens, choices = _tokens(whole.get("usage")), whole.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        return Reply(choice_of({}), tokens, REFUSAL if whole.get("error") else NO_CHOICE)
    choice = choice_of(first)
    content = choice["message"]["content"]
    if content is not None and len(content) > MOST_CHARACTERS:
        return Reply(choice_of({}), tokens, TOO_LONG)
    return Reply(choice, tokens, NO_TEXT if content is None else None)


def _unpacked(body: bytes) -> bytes:
    """At most `MOST_BYTES` of what may be gzip: a small body can unpack to a thousand times as much."""
    return zlib.decompressobj(31).decompress(body, MOST_BYTES) if body.startswith(GZIP) else body


def choice_of(kept: Any) -> dict[str, Any]:
    """A choice with the fields that judges read and no others, each of its type, without our secrets."""
    kept = kept if isinstance(kept, dict) else {}
    message = kept.get("message")
    content = _text(message.get("content")) if isinstance(message, dict) else None
    ending = kept.get("finish_reason")
    return {
        "finish_reason": ending if ending in ENDINGS else None,
        "message": {"role": "assistant", "content": content},
        "logprobs": _logprobs(kept.get("logprobs")),
    }


def _text(content: Any) -> str | None:
    """Text, also where it comes in parts."""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        content = "".join(p for p in parts if isinstance(p, str)) if parts and all(parts) else None
    return redact(well_formed(content[: MOST_CHARACTERS + 1])) if isinstance(content, str) else None


def _logprobs(given: Any) -> dict[str, Any] | None:
    """Log-probs of every token and of those that could have stood there; None where one is no number."""
    content = given.get("content") if isinstance(given, dict) else None
    if not isinstance(content, list) or not content:
        return None
    kept = []
    for one in content[:MOST_CHARACTERS]:
        others = one.get("top_logprobs") if isinstance(one, dict) else None
        tops = [_token(other) for other in others] if isinstance(others, list) else []
        token = _token(one)
        if token is None or not all(tops):
            return None
        kept.append({**token, "top_logprobs": tops})
    return {"content": kept}


def _token(one: Any) -> dict[str, Any] | None:
    if not isinstance(one, dict) or not isinstance(one.get("token"), str):
        return None
    value = one.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf <= value < MOST_TOKENS:
        return None
    return {"token": redact(well_formed(one["token"])), "logprob": float(value)}


def _tokens(usage: Any) -> tuple[int, int] | None:
    """Input and output tokens; None where the server does not say them, or says nonsense."""
    if not isinstance(usage, dict):
        return None
    found = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    counts = [n for n in found if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MOST_TOKENS]
    return (counts[0], counts[1]) if len(counts) == 2 else None
