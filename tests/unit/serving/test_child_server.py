"""A server never outlives who started it, and frees its port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unit.serving.conftest import ROOT, free_port, stand_in

from harness.errors import StageFailed, UserError
from harness.serving.child_server import check_port, started

PARENT = """
import sys
from pathlib import Path
from unit.serving.conftest import stand_in
from harness.serving.child_server import started
port, log = sys.argv[1:]
with started(stand_in("--port", port), name="stand-in", log=Path(log)) as server:
    server.wait_until_healthy(int(port), 30, lambda seconds: None)
    print(server.pid, flush=True)
    server.wait()
"""


def quiet(seconds: float) -> None:
    """Nothing is told."""


def is_free(port: int) -> bool:
    try:
        check_port(port)
    except UserError:
        return False
    return True


def wait_until_free(port: int) -> None:
    until = time.monotonic() + 10
    while not is_free(port):
        assert time.monotonic() < until, "the port was not freed"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_ends_with_the_body_and_the_port_is_free_again(tmp_path: Path) -> None:
    port = free_port()
    with started(stand_in("--port", str(port)), name="stand-in", log=tmp_path / "log") as server:
        server.wait_until_healthy(port, 30, quiet)
        assert server.lives()
        with pytest.raises(UserError, match=f"port {port} is taken"):
            check_port(port)
    assert not server.lives()
    assert is_free(port)
    assert "stand-in begins" in (tmp_path / "log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_it_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    command = [sys.executable, "-c", PARENT, str(port), str(tmp_path / "log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    wait_until_free(port)
    assert gone(child)
    parent.stdout.close()


def test_one_that_ends_by_itself_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    port = free_port()
    with (
        pytest.raises(StageFailed, match="ended with exit code 1") as caught,
        started(stand_in("--die"), name="stand-in", log=tmp_path / "log") as server,
    ):
        server.wait_until_healthy(port, 30, quiet)
    assert "no such weights" in caught.value.log_tail


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    port = free_port()
    with (
        pytest.raises(StageFailed, match=r"did not become healthy within 0\.3 s"),
        started(stand_in("--hang"), name="stand-in", log=tmp_path / "log") as server,
    ):
        server.wait_until_healthy(port, 0.3, quiet)
    assert not server.lives()


def test_a_port_that_another_listens_on_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="is taken; give another by --port"):
            check_port(other.getsockname()[1])
