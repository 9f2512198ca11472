"""The API judge against a small server on loopback that refuses, stumbles and rambles."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from harness.errors import UserError
from harness.judges import openai

SCRIPT: list[tuple[int, str]] = []
ASKED: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append(body["messages"][0]["content"])
        status, text = SCRIPT.pop(0)
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            ],
        }
        payload = json.dumps(answer if status == 200 else {"error": {"message": text}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def judge() -> Iterator[openai.OpenAIJudge]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    SCRIPT.clear()
    ASKED.clear()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    yield openai.make(openai.Config(model="m", base_url=url, first_wait_seconds=0.01, attempts=3))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("text", "value"), [("A", 1.0), (" b.", 0.0), ("**T**", 0.5), ("Answer A", 1.0)])
def test_letters(judge: openai.OpenAIJudge, text: str, value: float) -> None:
    SCRIPT.append((200, text))
    assert judge.prefer("q", "one", "two") == value
    assert "[Answer A]\none" in ASKED[0]


def test_what_is_no_letter_is_none(judge: openai.OpenAIJudge) -> None:
    SCRIPT.append((200, "Both are lovely"))
    assert judge.prefer("q", "one", "two") is None


def test_refusals_for_the_moment_are_asked_again(judge: openai.OpenAIJudge) -> None:
    SCRIPT.extend([(429, "slow down"), (500, "oops"), (200, "B")])
    assert judge.prefer("q", "one", "two") == 0.0
    assert len(ASKED) == 3


def test_a_server_that_never_recovers_is_an_error(judge: openai.OpenAIJudge) -> None:
    SCRIPT.extend([(500, "oops")] * 3)
    with pytest.raises(Exception, match="oops"):
        judge.prefer("q", "one", "two")


def test_a_missing_key_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        openai.check(openai.Config(model="gpt"))
