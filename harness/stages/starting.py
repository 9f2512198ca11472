"""How a stage's process starts: as a fresh interpreter, or forked from one that has imported already."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.stages.fork_server import LARGEST, Wanted

SPAWNED_AT = "HARNESS_SPAWNED_AT"
NOT_OF_STAGES = (SPAWNED_AT, "MLFLOW_")
"""What changes while a comparison runs: trackers set variables of their own in this process."""
READY_SECONDS = 180.0
"""Imports from a slow disk take a minute; a disk that is dead answers never."""


class Child(Protocol):
    """The process of a stage, as `subprocess.Popen` shows it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


@dataclass(frozen=True)
class Order:
    """What to start: the stage in `folder`, its environment, and the descriptors that it writes its log and
    its messages to and that ends with this process."""

    folder: Path
    environment: Mapping[str, str]
    log: int
    pipe: int
    lifeline: int


class Starter(Protocol):
    """Starts stages."""

    def start(self, order: Order) -> Child: ...


class FreshProcess:
    """Every stage imports for itself."""

    def start(self, order: Order) -> Child:
        """A new interpreter in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness.stages.child", str(order.folder), *map(str, _passed(order))],
            stdin=subprocess.DEVNULL,
            stdout=order.log,
            stderr=subprocess.STDOUT,
            pass_fds=_passed(order),
            start_new_session=True,
            env=dict(order.environment),
        )


def _passed(order: Order) -> tuple[int, int]:
    return order.pipe, order.lifeline


class ServerLost(Exception):
    """The server ended, or does not answer."""


class Forked:
    """A stage's process that a server forked, of which only the server hears how it ended."""

    def __init__(self, pid: int, server: _Server) -> None:
        self.pid, self._server = pid, server
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises subprocess.TimeoutExpired. A child does not outlive its server."""
        if self.returncode is None:
            try:
                code = self._server.hear("ended", timeout, of=self.pid)["code"]
            except TimeoutError:
                raise subprocess.TimeoutExpired("stage", timeout or 0.0) from None
            except ServerLost:
                code = -signal.SIGKILL
            self.returncode = int(code)
        return self.returncode


class ForkServer:
    """Starts stages from one process that has imported what they need; closed by `close`, or with `with`.

    Where that process does not come up or may not fork, stages start as fresh interpreters.
    """

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._given_up = not can_fork()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server, and with it whatever it forked."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def start(self, order: Order) -> Child:
        """A child of a server with the same environment, which libraries read when they are imported."""
        if self._given_up:
            return FreshProcess().start(order)
        try:
            return self._ready(order.environment).fork(order)
        except (ServerLost, TimeoutError):
            self.close()
            self._given_up = True
            return FreshProcess().start(order)

    def _ready(self, environment: Mapping[str, str]) -> _Server:
        wanted = {name: value for name, value in environment.items() if not name.startswith(NOT_OF_STAGES)}
        if self._server is not None and (self._server.environment != wanted or not self._server.lives()):
            self.close()
        if self._server is None:
            self._server = _Server(wanted)
        return self._server


def can_fork() -> bool:
    """Linux alone: frameworks of other systems start threads on import that a fork loses."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


class _Server:
    """The process of `fork_server` and the socket to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.stages.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=self.environment,
            )
        self._fit: bool | None = None

    def lives(self) -> bool:
        return self._process.poll() is None

    def fork(self, order: Order) -> Forked:
        """Raises ServerLost where it cannot."""
        if self._fit is None:
            self._fit = bool(self.hear("ready", READY_SECONDS)["fit"])
        if not self._fit:
            raise ServerLost
        wanted = Wanted(folder=str(order.folder), environment=dict(order.environment))
        try:
            socket.send_fds(
                self._socket, [json.dumps(wanted).encode()], [order.log, order.pipe, order.lifeline]
            )
        except OSError:
            raise ServerLost from None
        return Forked(int(self.hear("began", READY_SECONDS)["began"]), self)

    def hear(self, what: str, timeout: float | None, of: int | None = None) -> dict[str, Any]:
        """The next message that tells `what`, of one child where `of` names it; raises TimeoutError, and
        ServerLost where none can come."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            self._socket.settimeout(left)
            try:
                text = self._socket.recv(LARGEST)
            except (TimeoutError, BlockingIOError):
                raise TimeoutError from None
            except OSError:
                raise ServerLost from None
            if not text:
                raise ServerLost
            message: dict[str, Any] = json.loads(text)
            if what in message and of in (None, message[what]):
                return message

    def close(self) -> None:
        """It ends when nobody holds the other end of its socket."""
        self._socket.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
