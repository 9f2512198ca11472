"""What a client meets: whole answers, streams, and everything that can come in their place."""

from __future__ import annotations

import pytest
from unit.serving.conftest import free_port

from harness.serving.asking import Reply, ask


def asked(port: int, text: str, *, stream: bool = True) -> Reply:
    return ask(port, "model", [{"role": "user", "content": text}], max_tokens=8, stream=stream)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_comes_whole(server: int, stream: bool) -> None:
    reply = asked(server, "one two three", stream=stream)
    assert (reply.text, reply.tokens, reply.finish, reply.error) == ("three two one", 4, "stop", None)
    assert (reply.first_seconds is not None) is stream
    assert reply.seconds > 0
    if reply.first_seconds is not None:
        assert reply.first_seconds <= reply.seconds


def test_an_answer_without_text_has_no_first_token(server: int) -> None:
    reply = asked(server, "silent")
    assert (reply.text, reply.first_seconds, reply.error) == ("", None, None)


@pytest.mark.parametrize(
    ("text", "stream", "error"),
    [
        ("refuse", True, "HTTP status 500"),
        ("cut it", True, "a stream that was cut"),
        ("error now", True, "an error in the stream"),
        ("odd", False, "a reply that is none of the protocol"),
        ("odd", True, "a stream that was cut"),
    ],
)
def test_what_fails_is_an_error_in_words(server: int, text: str, stream: bool, error: str) -> None:
    assert asked(server, text, stream=stream).error == error


def test_where_nobody_listens_the_connection_failed() -> None:
    assert asked(free_port(), "x").error == "connection: ConnectionRefusedError"
