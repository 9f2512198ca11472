"""A server in a process of its own that never outlives this one, whatever ends it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StageFailed, UserError

HOST = "127.0.0.1"
TERM_SECONDS = 10.0
"""A server that was asked to end finishes its answers; one that hangs is killed."""
POLL_SECONDS = 0.2
TELL_SECONDS = 10.0
TAIL_BYTES = 4000


@dataclass(frozen=True)
class Program:
    """What is run: a module with its arguments, in a folder, with variables beside those of this process."""

    module: str
    arguments: Sequence[str]
    folder: Path = Path(".")
    environment: Mapping[str, str] | None = None


class ChildServer:
    """The server's process. `log` is the file that it writes to, None where it writes to the terminal."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path | None) -> None:
        self._process, self._name, self._log = process, name, log

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    def wait(self) -> int:
        """Until it ends by itself; its exit code, negative for a signal."""
        return self._process.wait()

    def lives(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def failed(self, cause: str) -> StageFailed:
        """The error that tells what it wrote last."""
        return StageFailed(
            f"serve ({self._name})", cause=cause, log_path=str(self._log), log_tail=_tail(self._log)
        )

    def must_live(self) -> None:
        """Raise StageFailed where it ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failed(f"the server ended with exit code {code}")

    def wait_until_healthy(self, port: int, seconds: float, tell: Callable[[float], None]) -> None:
        """Wait for its first answer to /health; `tell` hears every ten seconds how long it has been.

        Raises StageFailed where it ends first or takes longer than `seconds`.
        """
        started = told = time.monotonic()
        while not _is_healthy(port):
            self.must_live()
            now = time.monotonic()
            if now - started > seconds:
                raise self.failed(f"the server did not become healthy within {seconds:g} s")
            if now - told >= TELL_SECONDS:
                told = now
                tell(now - started)
            time.sleep(POLL_SECONDS)
        self.must_live()

    def end(self) -> None:
        """Ask it to end, and kill it and all that it started where it does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # What it started itself stands in its group, also where it is gone already.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextlib.contextmanager
def started(program: Program, *, name: str, log: Path | None = None) -> Iterator[ChildServer]:
    """Start it for the body, in a session of its own so that Ctrl-C reaches this process alone."""
    theirs, ours = os.pipe()
    sink = log.open("wb") if log is not None else None
    try:
        command = [sys.executable, "-m", "harness.serving.child", str(theirs), str(program.folder)]
        process = subprocess.Popen(
            [*command, program.module, *program.arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if sink is not None else None,
            pass_fds=(theirs,),
            start_new_session=True,
            env={**os.environ, **(program.environment or {})},
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        if sink is not None:
            sink.close()
    server = ChildServer(process, name, log)
    try:
        yield server
    finally:
        server.end()
        os.close(ours)


def check_port(port: int, *, remedy: str = "give another by --port") -> None:
    """Raise UserError where the port of 127.0.0.1 is taken."""
    with socket.socket() as probe:
        # As servers do: what a connection that ended left of the port is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            fact, remedy = f"port {port} is not for every user", "give one above 1023 by --port"
        except OSError:
            fact = f"port {port} is taken"
        else:
            return
    raise UserError(fact, remedy=remedy)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path | None) -> str:
    if log is None or not log.is_file():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return source.read().decode(errors="replace").strip()
