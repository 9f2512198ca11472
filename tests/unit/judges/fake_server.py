"""An OpenAI-compatible server on loopback that does what it is told, from any thread."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, str]


@dataclass
class FakeServer:
    """`script` gives replies in order, then `answer` makes them from the request's body."""

    answer: Callable[[dict[str, Any]], str] = lambda body: "A"
    script: list[Reply] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    logprobs: dict[str, float] | None = None
    delay: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> FakeServer:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, text = fake.take(body)
                payload = json.dumps(fake.body(status, text, body)).encode()
                self.send_response(status)
                extra = fake.headers if status != 200 else {}
                own = {"Content-Type": "application/json", "Content-Length": str(len(payload))}
                for name, value in {**own, **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self.asked.append(body)
            self.at.append(time.monotonic())
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            reply = self.script.pop(0) if self.script else (200, self.answer(body))
        time.sleep(self.delay)
        with self._lock:
            self.running -= 1
        return reply

    def body(self, status: int, text: str, asked: dict[str, Any]) -> dict[str, Any]:
        if status != 200:
            return {"error": {"message": text}}
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        if self.logprobs is not None:
            tops = [{"token": t, "logprob": p, "bytes": None} for t, p in self.logprobs.items()]
            choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}], "refusal": None}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": asked["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
        }
