"""A stand-in server in a process of its own, for the tests of one file."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.serving.child_server import Program, started

TESTS = Path(__file__).parents[2]
ROOT = TESTS.parent


def stand_in(*arguments: str) -> Program:
    paths = f"{TESTS}:{ROOT}"
    return Program("openai_stand_in", arguments, Path("."), {"PYTHONPATH": paths})


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server(tmp_path_factory: Any) -> Iterator[int]:
    """The port of one that runs."""
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "server.log"
    with started(stand_in("--port", str(port)), name="stand-in", log=log) as one:
        one.wait_until_healthy(port, 30, lambda seconds: None)
        yield port
