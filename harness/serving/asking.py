"""One request to an OpenAI-compatible server on this machine, timed as its client meets it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.serving.child_server import HOST

REQUEST_SECONDS = 600.0
"""A request that waits longer than this for its next byte has failed."""
Messages = Sequence[dict[str, str]]


@dataclass(frozen=True)
class Reply:
    """One answer, or what came in its place.

    `first_seconds` from sending to the first piece of text, None for an answer without any or one that was
    not streamed; `seconds` to its end. `tokens` were made, the one that ended it included, None where the
    server did not say. `error` is None for an answer that came whole.
    """

    text: str
    seconds: float
    first_seconds: float | None = None
    tokens: int | None = None
    finish: str | None = None
    error: str | None = None


def ask(
    port: int, model: str, messages: Messages, *, max_tokens: int, stream: bool = True, greedy: bool = True
) -> Reply:
    """The reply to one conversation; never raises for what a server does wrong."""
    body: dict[str, Any] = {"model": model, "messages": list(messages), "max_tokens": max_tokens}
    body |= {"temperature": 0} if greedy else {}
    body |= {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_SECONDS)
    begun = time.perf_counter()
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        if response.status != 200:
            return _failed(f"HTTP status {response.status}", begun)
        return _streamed(response, begun) if stream else _whole(response, begun)
    except TimeoutError:
        return _failed("no byte in time", begun)
    except (OSError, http.client.HTTPException) as error:
        return _failed(f"connection: {type(error).__name__}", begun)
    except (ValueError, LookupError, TypeError, AttributeError):
        return _failed("a reply that is none of the protocol", begun)
    finally:
        connection.close()


def _failed(error: str, begun: float) -> Reply:
    return Reply("", time.perf_counter() - begun, error=error)


def _whole(response: http.client.HTTPResponse, begun: float) -> Reply:
    told = json.loads(response.read())
    choice = told["choices"][0]
    return Reply(
        choice["message"].get("content") or "",
        time.perf_counter() - begun,
        tokens=(told.get("usage") or {}).get("completion_tokens"),
        finish=choice.get("finish_reason"),
    )


def _streamed(response: http.client.HTTPResponse, begun: float) -> Reply:
    """Server-sent events, a chunk of the answer each; a stream without a reason to end was cut."""
    pieces: list[str] = []
    first: float | None = None
    tokens: int | None = None
    finish: str | None = None
    for line in response:
        data = line.removeprefix(b"data: ").strip() if line.startswith(b"data: ") else b""
        if data in (b"", b"[DONE]"):
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            return _failed("an error in the stream", begun)
        for choice in chunk.get("choices", []):
            if choice["delta"].get("content"):
                first = first if first is not None else time.perf_counter() - begun
                pieces.append(choice["delta"]["content"])
            finish = choice.get("finish_reason") or finish
        tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    if finish is None:
        return _failed("a stream that was cut", begun)
    return Reply("".join(pieces), time.perf_counter() - begun, first, tokens, finish)
