"""Replies of a server that means ill, or is broken: whole HTTP answers, the key that it was sent in most."""

from __future__ import annotations

import functools
import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Hostile = tuple[int, dict[str, str], bytes]
"""Status, headers and body. Status 0 closes the connection; a header `X-Drip` sends the body without end."""


def choice(content: Any, **more: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}, **more}


def completion(*choices: Any, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    return {"id": "x", "object": "chat.completion", "choices": list(choices), "usage": usage, **more}


def sent(body: Any, status: int = 200, **headers: str) -> Hostile:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
    return status, {"Content-Type": "application/json", **headers}, payload


@functools.cache
def no_answers(key: str) -> dict[str, Hostile]:
    """Replies with status 200 that answer nothing."""
    packed = {"Content-Encoding": "gzip"}
    return {
        "a page": sent(f"<html>login with {key}</html>".encode(), **{"Content-Type": "text/html"}),
        "nothing": sent(b""),
        "null": sent(b"null"),
        "a list": sent([key]),
        "a text": sent(key),
        "a number": sent(b"7"),
        "cut off": sent(json.dumps(completion(choice(key))).encode()[:-20]),
        "no choices": sent({"key": key}),
        "null choices": sent({"choices": None, "note": key}),
        "empty choices": sent(completion()),
        "choices as a mapping": sent({"choices": {"0": choice("A")}}),
        "a null choice": sent(completion(None)),
        "a choice as text": sent(completion(key)),
        "no message": sent(completion({"index": 0, "text": key})),
        "a null message": sent(completion({"message": None})),
        "a message as text": sent(completion({"message": key})),
        "an error with status 200": sent({"error": {"message": f"bad key {key}"}, "choices": None}),
        "deep": sent(b"[" * 200_000),
        "a number of 9,000 digits": sent(b'{"choices": ' + b"9" * 9_000 + b"}"),
        "no UTF-8": sent(b'{"choices": "\xff\xfe' + key.encode() + b'"}'),
        "events": sent(b"data: " + json.dumps(completion(choice(key))).encode() + b"\n\ndata: [DONE]\n"),
        "9 MB": sent(b'{"choices": "' + b"x" * (9 << 20) + b'"}'),
        "packed garbage": sent(b"\x1f\x8b\x08 no more", **packed),
        "said to be packed": sent(b'{"choices": []}', **packed),
        "a packed bomb": sent(gzip.compress(b" " * (60 << 20)), **packed),
        "packed as nobody asked": sent(b"\x1b\x00", **{"Content-Encoding": "br"}),
    }


def no_texts(key: str) -> dict[str, Hostile]:
    """Choices without a text that could be read."""
    return {
        "null": sent(completion(choice(None, note=key))),
        "a number": sent(completion(choice(7))),
        "a mapping": sent(completion(choice({"text": key}))),
        "a switch": sent(completion(choice(True))),
        "parts of another kind": sent(completion(choice([7, None]))),
        "no content": sent(completion({"message": {"role": key}})),
        "too much of it": sent(completion(choice("answer is" + " " * 300_000 + key))),
    }


def answers(key: str) -> dict[str, tuple[Hostile, float | None]]:
    """Replies that hold a text, and what it says."""
    packed = {"Content-Encoding": "gzip"}
    tops = [{"token": key, "logprob": "high"}]
    return {
        "the key": (sent(completion(choice(f"The key is {key}"))), None),
        "the key beside a verdict": (sent(completion(choice(f"[[A]] {key}"))), 1.0),
        "other fields": (sent(completion(choice("A", note=key, **{key: 1}), system=key)), 1.0),
        "in parts": (sent(completion(choice([{"type": "text", "text": "B"}]))), 0.0),
        "lone surrogates": (sent(b'{"choices": [{"message": {"content": "A\\ud800"}}]}'), None),
        "colours": (sent(completion(choice(f"\x1b[31m{key}\x1b[0m\x00"))), None),
        "another ending": (sent(completion({**choice("A"), "finish_reason": {"key": key}})), 1.0),
        "usage of text": (sent(completion(choice("A"), usage={"prompt_tokens": key})), 1.0),
        "usage below nothing": (sent(completion(choice("A"), usage={"prompt_tokens": -5})), 1.0),
        "endless usage": (sent(completion(choice("A"), usage={"prompt_tokens": 10**30})), 1.0),
        "usage as a list": (sent(completion(choice("A"), usage=[key])), 1.0),
        "log-probs of text": (sent(completion(choice("A", logprobs={"content": tops}))), 1.0),
        "packed": (sent(gzip.compress(json.dumps(completion(choice("A"))).encode()), **packed), 1.0),
        "half of the blanks": (sent(completion(choice("answer is" + " " * 90_000 + "x"))), None),
    }


def refusals(key: str) -> dict[str, Hostile]:
    """What the server refuses with; each is one message."""
    said = {"error": {"message": f"Incorrect API key provided: {key}.", "code": key}}
    return {
        "400": sent(said, 400),
        "400 after 150 letters": sent({"error": {"message": "x" * 150 + key}}, 400),
        "401": sent(said, 401, **{"WWW-Authenticate": f"Bearer {key}"}),
        "401 with the ends of the key": sent({"error": {"message": f"{key[:14]}***{key[-4:]}"}}, 401),
        "403": sent(said, 403),
        "404 as a page": sent(f"<h1>{key}</h1>".encode(), 404, **{"Content-Type": "text/html"}),
        "422 as a list": sent([said], 422),
        "418 as text": sent(key, 418),
        "429": sent(said, 429, **{"Retry-After": key}),
        "500 as a page": sent(f"Traceback: Authorization: Bearer {key}".encode(), 500),
        "an address": sent({"error": {"message": f"GET http://u:{key}@host/v1?api_key={key}"}}, 409),
        "round in circles": sent(b"", 302, **{"Location": f"/v1/chat/completions?key={key}"}),
        "shorter than said": sent(b"{}", 200, **{"Content-Length": "900"}),
        "closed": (0, {}, b""),
        "without end": (200, {"X-Drip": "0.02"}, b" "),
        "an error without end": (500, {"X-Drip": "0.02"}, key.encode()),
    }


@dataclass
class HostileServer:
    """Answers every question with what `reply` makes of its key."""

    reply: Callable[[str], Hostile]
    asked: int = 0
    keys: set[str] = field(default_factory=set)

    def __enter__(self) -> HostileServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                key = self.headers["Authorization"].removeprefix("Bearer ")
                outer.asked += 1
                outer.keys.add(key)
                outer.send(self, outer.reply(key))

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._stopped = threading.Event()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def send(self, handler: BaseHTTPRequestHandler, reply: Hostile) -> None:
        status, headers, body = reply
        if status == 0:
            handler.close_connection = True
            return
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
            while "X-Drip" in headers and not self._stopped.wait(float(headers["X-Drip"])):
                handler.wfile.write(body)
        except OSError:
            handler.close_connection = True
