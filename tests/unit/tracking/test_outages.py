"""MLflow away for a while or all the time, or its writer killed: afterwards it holds what it would have."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import Server, holdings
from rich.console import Console
from unit.tracking.made import messages

from harness.commands import sync
from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.running import journal, outbox
from harness.running.queues import write
from harness.running.tracking import Tracking
from harness.store.run_dir import RunRoot
from harness.tracking.mlflow import default_uri

URI = "MLFLOW_TRACKING_URI"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(outbox, "MOST_RETRY_SECONDS", 2.0)
    monkeypatch.setattr(outbox, "LAST_PAUSE", 0.05)
    monkeypatch.setattr(outbox, "SHARE", 1.0)
    monkeypatch.setattr("harness.running.tracking.APART_SECONDS", 0.0)


def nothing() -> None:
    """No trouble."""


def compared(
    root: RunRoot,
    record: ComparisonRecord,
    report: Path,
    *,
    before: Callable[[], None] = nothing,
    amid: Callable[[], None] = nothing,
    late: Callable[[], None] = nothing,
) -> str:
    """A comparison that trains two cells, scores one of them and reuses the rest; what the user saw."""
    heard = io.StringIO()
    before()
    with Tracking(["mlflow"], root, "made", Console(file=heard, width=400)) as tracking:
        tracking.plans(record.plan)
        for digest in ("prep", "orpo0", "orpo1"):
            stage = record.plan.stages[digest]
            tracking.begins(stage)
            for number, message in enumerate(messages() if stage.kind == "train" else []):
                tracking.hears(stage, message)
                if digest == "orpo0" and number == 4:
                    amid()
            tracking.ends(stage, record.results[digest])
        late()
        tracking.completes(record, report)
    return heard.getvalue()


@pytest.fixture
def healthy(
    root: RunRoot, record: ComparisonRecord, report: Path, tmp_path: Path, empty_database: Path
) -> dict[str, Any]:
    """What a database holds that was never away."""
    other = RunRoot(tmp_path / "healthy")
    shutil.copytree(root.path, other.path)
    assert compared(other, record, report) == ""
    return cleaned(holdings(default_uri(other.path), "made"), other)


def cleaned(held: dict[str, Any], root: RunRoot) -> dict[str, Any]:
    """Without the root's own path."""
    for run in held.values():
        run["tags"] = {name: text.replace(str(root.path), "") for name, text in run["tags"].items()}
    return held


@pytest.fixture
def server(
    tmp_path: Path, empty_database: Path, healthy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server that is not started yet, and is written to from now on."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_database, folder / "server.db")
    made = Server(folder)
    monkeypatch.setenv(URI, made.url)
    yield made
    made.kill()


def test_a_server_that_is_never_there_costs_little_and_sync_delivers(
    root: RunRoot,
    record: ComparisonRecord,
    report: Path,
    healthy: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here the one that comes at last is the database, so that no server has to start."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv(URI, f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.perf_counter()
        heard = compared(root, record, report)
        assert time.perf_counter() - began < 10.0
        assert heard.count("\n") == 2
        assert "mlflow failed (ConnectionError: no server answers at 127.0.0.1:" in heard
        assert f"harness sync --out {root.path}" in heard
        with pytest.raises(
            UserError, match=r"mlflow does not take \d+ item.*try again when the tracker is up"
        ):
            sync.run(None, out=root.path)
    monkeypatch.delenv(URI)
    assert sync.run("another", out=root.path) == 0
    assert "mlflow: nothing waits of another" in capsys.readouterr().out
    assert sync.run("latest", out=root.path) == 0
    assert cleaned(holdings(default_uri(root.path), "made"), root) == healthy
    assert not (root.path / "tracking").exists()
    assert sync.run(None, out=root.path) == 0
    assert capsys.readouterr().out.endswith("Nothing waits.\n")
    assert cleaned(holdings(default_uri(root.path), "made"), root) == healthy


@pytest.mark.slow
def test_the_next_command_delivers_what_waits_before_its_own(
    root: RunRoot,
    record: ComparisonRecord,
    report: Path,
    healthy: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(URI, "http://127.0.0.1:9")
    compared(root, record, report)
    assert len(journal.paths(root.path, "mlflow")) == 1
    monkeypatch.delenv(URI)
    assert write("mlflow", record, root, report, Console(quiet=True))
    assert journal.paths(root.path) == []
    assert cleaned(holdings(default_uri(root.path), "made"), root) == healthy


@pytest.mark.slow
def test_a_server_killed_and_started_again_lacks_nothing_and_has_nothing_twice(
    server: Server, root: RunRoot, record: ComparisonRecord, report: Path, healthy: dict[str, Any]
) -> None:
    starting: list[threading.Thread] = []

    def away() -> None:
        time.sleep(5.0)
        server.kill()
        thread = threading.Timer(5.0, server.start)
        thread.start()
        starting.append(thread)

    def late() -> None:
        starting[0].join()

    heard = compared(root, record, report, before=server.start, amid=away, late=late)
    assert "time(s), and holds all of it now" in heard, heard
    assert cleaned(holdings(server.url, "made"), root) == healthy
    assert journal.paths(root.path) == []


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.02, 0.1, 0.3, 0.6, 1.0])
def test_killed_in_the_middle_of_delivering_then_sync(
    after: float,
    root: RunRoot,
    record: ComparisonRecord,
    report: Path,
    healthy: dict[str, Any],
    tmp_path: Path,
) -> None:
    """`sync` itself is killed, as a command at its end would be, and run again."""
    os.environ[URI] = "http://127.0.0.1:9"
    compared(root, record, report)
    del os.environ[URI]
    (path,) = journal.paths(root.path, "mlflow")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "sync", "--out", str(root.path)], cwd=Path(__file__).parents[3]
    )
    sent = path.with_suffix(".sent")
    deadline = time.monotonic() + 60
    while sent.exists() and not sent.read_text() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    sync.run(None, out=root.path)
    assert cleaned(holdings(default_uri(root.path), "made"), root) == healthy
    assert journal.paths(root.path) == []


@pytest.mark.slow
def test_a_database_that_another_process_locks_is_written_afterwards(
    root: RunRoot, record: ComparisonRecord, report: Path, healthy: dict[str, Any]
) -> None:
    def locked() -> None:
        connection = sqlite3.connect(root.path / "mlflow.db", check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
        held.append(connection)

    def free() -> None:
        with closing(held.pop()) as connection:
            connection.rollback()

    held: list[sqlite3.Connection] = []
    began = time.perf_counter()
    compared(root, record, report, amid=locked)
    assert time.perf_counter() - began < 25.0
    assert len(journal.paths(root.path, "mlflow")) == 1
    free()
    # The thread that waits for the lock belongs to this very process, which does not end.
    deadline = time.monotonic() + 40
    while sync.run(None, out=root.path) == 0 and journal.paths(root.path) and time.monotonic() < deadline:
        time.sleep(0.5)
    sync.run(None, out=root.path)
    assert cleaned(holdings(default_uri(root.path), "made"), root) == healthy
