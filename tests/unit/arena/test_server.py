"""The arena's server: whom it answers, and what it says to no one."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.arena import server
from harness.arena.server import Arena
from harness.errors import UserError
from harness.votes import read_votes

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def arena(sitting: Any) -> Iterator[Arena]:
    with Arena(sitting()).running() as running:
        yield running


def ask(
    arena: Arena, path: str, body: Any = None, *, token: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A request as it is given: `body` makes it a POST, headers take the place of the browser's."""
    connection = http.client.HTTPConnection("127.0.0.1", arena.port, timeout=20)
    sent = {"Host": f"127.0.0.1:{arena.port}", **(JSON if body is not None else {}), **headers}
    sent = {name.replace("_", "-"): value for name, value in sent.items()}
    text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    address = f"/{arena.token if token is None else token}/{path}"
    connection.request("GET" if body is None else "POST", address, text, sent)
    reply = connection.getresponse()
    found = reply.status, dict(reply.getheaders()), reply.read()
    connection.close()
    return found


def state(arena: Arena) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(arena, "state")[2])
    return found


@pytest.mark.parametrize("page", ["", "page.js", "page.css", "state", "nothing"])
def test_without_the_token_all_is_forbidden(arena: Arena, page: str) -> None:
    for token in ("", "x", arena.token[:-1], arena.token.lower() + "x"):
        status, _, said = ask(arena, page, token=token)
        assert (status, said) == (403, b"forbidden")
    assert ask(arena, "vote", {"key": "", "choice": "left"}, token="x")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_are_forbidden(arena: Arena, headers: dict[str, str]) -> None:
    assert ask(arena, "state", **headers)[0] == 403
    assert ask(arena, "finish", {}, **headers)[0] == 403
    assert not arena.finished.is_set()


def test_it_listens_on_this_machine_alone(arena: Arena) -> None:
    assert arena._server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("page", ["", "page.js", "page.css", "state"])
def test_pages_may_ask_for_nothing_elsewhere(arena: Arena, page: str) -> None:
    status, headers, said = ask(arena, page)
    assert status == 200
    assert said
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers["Server"]
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert b"://" not in said


def test_a_vote_is_on_the_disk_before_it_is_answered(arena: Arena, path: Path) -> None:
    before = state(arena)
    status, _, said = ask(arena, "vote", {"key": before["key"], "choice": "tie"})
    assert (status, json.loads(said)["done"]) == (200, 1)
    assert [vote.preference for vote in read_votes(path)] == [0.5]
    assert ask(arena, "vote", {"key": before["key"], "choice": "tie"})[0] == 409, (
        "given twice by a double key"
    )
    assert json.loads(ask(arena, "undo", {})[2])["done"] == 0
    assert read_votes(path) == []


@pytest.mark.parametrize(
    ("status", "action", "body", "headers"),
    [
        (415, "vote", b"{}", {"Content_Type": "text/plain"}),
        (413, "vote", b"x" * 2_000, {}),
        (413, "vote", b"", {"Content_Length": "9" * 400}),
        (411, "vote", b"", {"Content_Length": "-1"}),
        (400, "vote", b"{", {}),
        (400, "vote", b"[" * 900, {}),
        (400, "vote", b"[]", {}),
        (400, "vote", {"key": 1, "choice": "left"}, {}),
        (400, "vote", {"key": "", "choice": "orpo"}, {}),
        (409, "vote", {"key": "old", "choice": "left"}, {}),
        (404, "else", {}, {}),
    ],
)
def test_what_is_no_vote_is_told_and_counts_nothing(
    arena: Arena, path: Path, status: int, action: str, body: Any, headers: dict[str, str]
) -> None:
    assert ask(arena, action, body, **headers)[0] == status
    assert read_votes(path) == []
    assert ask(arena, "state")[0] == 200


def test_other_methods_are_forbidden(arena: Arena) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", arena.port, timeout=20)
    for method in ("PUT", "OPTIONS", "HEAD", "TRACE"):
        connection.request(method, f"/{arena.token}/state")
        reply = connection.getresponse()
        assert reply.status == 403
        reply.read()


def test_a_body_that_never_comes_is_told_as_one(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", arena.port), timeout=20) as slow:
        head = f"POST /{arena.token}/vote HTTP/1.1\r\nHost: 127.0.0.1:{arena.port}\r\n"
        slow.sendall((head + "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{").encode())
        assert b" 408 " in slow.recv(1_000)
    assert state(arena)["done"] == 0


def test_after_the_end_no_vote_is_taken(arena: Arena, path: Path) -> None:
    key = state(arena)["key"]
    assert json.loads(ask(arena, "finish", {})[2])["ended"] is True
    status, _, said = ask(arena, "vote", {"key": key, "choice": "left"})
    assert (status, json.loads(said)["ended"]) == (409, True)
    assert read_votes(path) == []


def test_a_vote_that_the_disk_refuses_is_told_and_asked_for_again(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "votes.jsonl")

    key = state(arena)["key"]
    monkeypatch.setattr("harness.votes.VoteFile.append", full)
    status, _, said = ask(arena, "vote", {"key": key, "choice": "left"})
    assert status == 507
    assert "was not saved" in json.loads(said)["error"]
    assert state(arena) == {**state(arena), "done": 0, "key": key}


def test_a_port_that_is_taken_is_one_message(arena: Arena, sitting: Any) -> None:
    with pytest.raises(UserError, match=f"port {arena.port} cannot be had"):
        Arena(sitting(), arena.port)
