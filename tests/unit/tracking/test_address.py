"""A mistyped address is one message, and nothing is made there."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import app
from harness.commands import compare, ui
from harness.errors import UserError
from harness.pipeline.overrides import Overrides
from harness.tracking._mlflow_address import check_address, reach
from harness.tracking.mlflow import read_from

NOWHERE = [
    ("sqlite:///{here}/typo/x.db", "no such"),
    ("sqlite:////{here}/typo/x.db", "no such"),
    ("sqlite://x.db", "names no file"),
    ("sqlite:///:memory:", "names no file"),
    ("sqlite:///", "names no file"),
    ("sqlite:///{here}/other.db", "is no database of MLflow"),
    ("sqlite:///{here}/text.db", "is no database of MLflow"),
    ("sqlite:///{here}", "no such database"),
    ("file://{here}/typo/mlruns", "no such folder"),
    ("{here}/typo/mlruns", "no such folder"),
    ("{here}/text.db", "no such folder"),
    ("gopher://x", 'unknown scheme "gopher"; give one of: http://HOST:PORT'),
    ("sqllite:///x.db", 'unknown scheme "sqllite"'),
    ("http://", "names no server"),
    ("http://x:99999", "names no server"),
    ("https:///path", "names no server"),
]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "text.db").write_text("no database at all, just some words\n" * 50)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("create table recipes (name text)")
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize(("uri", "fact"), NOWHERE)
def test_an_address_that_leads_nowhere_makes_nothing(uri: str, fact: str, reads: bool, here: Path) -> None:
    before = everything(here)
    with pytest.raises(UserError, match=fact):
        check_address(uri.format(here=here), reads=reads)
    assert everything(here) == before


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "sqlite:///{here}/new.db",
            "sqlite:///{here}/new.db?timeout=5",
            "file://{here}/mlruns",
            "{here}/new",
        ),
        *(
            "http://127.0.0.1:5000",
            "https://mlflow.example/path",
            "postgresql+psycopg2://u:p@h/db",
            "mysql://h/d",
        ),
        *("databricks", "databricks://profile"),
    ],
)
def test_what_can_be_written_to_passes_and_is_not_made_yet(uri: str, here: Path) -> None:
    before = everything(here)
    check_address(uri.format(here=here), reads=False)
    assert everything(here) == before


def test_mlflows_own_database_passes(here: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, here / "mlflow.db")
    check_address(f"sqlite:///{here / 'mlflow.db'}", reads=True)
    with sqlite3.connect(here / "mlflow.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        check_address(f"sqlite:///{here / 'mlflow.db'}", reads=True)
        with pytest.raises(ConnectionError, match="locked"):
            reach(f"sqlite:///{here / 'mlflow.db'}")


def test_a_comparison_stops_before_anything_long(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here}/typo/x.db")
    before = everything(here)
    with pytest.raises(UserError, match=r"typo/x.db: no such folder: .*typo; make it first"):
        compare.run_comparison("embedded", Overrides(), out=here / "runs", console=Console(quiet=True))
    assert everything(here) == before


def test_ui_opens_no_other_database(here: Path) -> None:
    shutil.copy(here / "other.db", here / "mlflow.db")
    before = everything(here)
    with pytest.raises(UserError, match="is no database of MLflow"):
        ui.run(here, port=1)
    assert everything(here) == before


@pytest.mark.parametrize("run_id", ["../../x", "a/b", "", "a b"])
def test_a_run_id_leads_to_no_other_folder(run_id: str, here: Path) -> None:
    with pytest.raises(UserError, match="is no run id of MLflow"):
        read_from("http://127.0.0.1:9", run_id, here / "back")


def test_a_server_that_hangs_or_is_away_is_one_message_in_time(here: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"http://127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=r"did not answer within 0.5 s; see whether the server is up"):
            read_from(uri, "r1", here / "back", seconds=0.5)
        with pytest.raises(UserError, match=r"no server answers at 127.0.0.1:9"):
            read_from("http://127.0.0.1:9", "r1", here / "back")
        assert time.monotonic() - began < 2.5
        threads = [thread for thread in threading.enumerate() if thread.name == "download"]
    for thread in threads:
        thread.join(10)
    assert not (here / "back").exists()


def test_the_time_limit_is_a_flag(here: Path) -> None:
    with pytest.raises(UserError, match="no server answers"):
        app(
            ["report", "r1", "--from-mlflow", "http://127.0.0.1:9", "--timeout", "3", "--out", str(here)],
            standalone_mode=False,
        )
