"""Rubbish on the progress pipe: counted, said once, and the stage's own messages still arrive."""

from __future__ import annotations

import json

import pytest

from harness.stages.messages import LONGEST, Messages, is_message

STEP = {"step": 1, "total": 2, "metrics": {"loss": float("nan")}, "memory": None}
RUBBISH = [
    b"not json",
    b"\xff\xfe\x00",
    b"[1, 2]",
    b"null",
    b"17",
    b'"text"',
    b"{half",
    b"[" * 100_000,
    b"9" * 5000,
    b'{"step": "one", "total": 2, "metrics": {}}',
    b'{"step": 1}',
    b'{"step": 1, "total": 2, "metrics": [1]}',
    b'{"step": 1, "total": 2, "metrics": {"loss": "low"}}',
    b'{"say": 7}',
    b'{"phase": ["train"]}',
    b'{"memory": "much"}',
]


@pytest.mark.parametrize("line", RUBBISH, ids=lambda line: line[:24].decode("latin-1"))
def test_what_is_no_message_is_ignored_and_said_once(line: bytes) -> None:
    messages = Messages()
    (said,) = messages.feed(line + b"\n")
    assert said["say"].startswith("its pipe carried what is no message")
    assert said["say"].isprintable()
    assert messages.feed(line + b"\n" + json.dumps(STEP).encode()) == []
    (step,) = messages.feed(b"\n")
    assert step["step"] == 1
    assert messages.refused == 2


def test_a_line_of_megabytes_is_not_kept() -> None:
    messages = Messages()
    for _ in range(5):
        assert messages.feed(b"x" * (LONGEST + 1)) == []
        assert len(messages._pending) <= LONGEST
    assert [m.get("phase", "said") for m in messages.feed(b'y\n{"phase": "train"}\n')] == ["said", "train"]


def test_messages_in_pieces_arrive_whole() -> None:
    sent = b"".join(json.dumps(one).encode() + b"\n" for one in ({}, {"phase": None}, {"say": "x"}))
    messages = Messages()
    found = [one for byte in sent for one in messages.feed(bytes([byte]))]
    assert found == [{}, {"phase": None}, {"say": "x"}]
    assert messages.refused == 0
    assert is_message(STEP)
