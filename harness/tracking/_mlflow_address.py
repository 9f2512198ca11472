"""Where MLflow's tracking address leads, looked at before MLflow makes folders and tables there."""

from __future__ import annotations

import re
import socket
import sqlite3
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.errors import UserError

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")
HOSTED = ("databricks", "databricks-uc", "uc")
SUPPORTED = (
    "http://HOST:PORT, https://, sqlite:///FILE, a folder, file:FOLDER, postgresql, mysql, mssql, databricks"
)
TABLES = "select name from sqlite_master where type = 'table'"
MAKE_IT = "make it first, or mend the address"
REACH_SECONDS = 3.0


def check_address(uri: str, *, reads: bool) -> None:
    """Raise UserError for an address that is none, or leads to what does not exist; creates nothing.

    What is read has to be there; where something is written, its folder has to be.
    """
    if not uri.strip():
        raise UserError(
            "names no server, no database and no folder", where=repr(uri), remedy=f"give one of: {SUPPORTED}"
        )
    scheme = _scheme(uri)
    if scheme in SERVERS:
        _check_server(uri)
    elif scheme == "sqlite":
        _check_database(uri, reads=reads)
    elif scheme in ("", "file"):
        _check_folder(uri, reads=reads)
    elif scheme not in (*DATABASES, *HOSTED, *_plugged_in()):
        raise UserError(f'unknown scheme "{scheme}"', where=uri, remedy=f"give one of: {SUPPORTED}")


def reach(uri: str) -> None:
    """Raise ConnectionError within seconds where no server answers, or a database is locked."""
    if _scheme(uri) == "sqlite" and (file := _file_of(uri)).is_file():
        try:
            _tables(file)
        except sqlite3.OperationalError as error:
            raise ConnectionError(f"{file}: {error}") from None
    elif _scheme(uri) in SERVERS and not _behind_proxy(uri):
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((host, port), timeout=REACH_SECONDS) as line:
                if parts.scheme == "http":
                    line.sendall(f"GET /health HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
                    line.recv(1)
        except OSError as error:
            raise ConnectionError(f"no server answers at {host}:{port} ({error})") from None


def _behind_proxy(uri: str) -> bool:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(uri)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def _scheme(uri: str) -> str:
    """Without a database's driver; a path has none, and neither has the word databricks."""
    if uri in HOSTED:
        return uri
    found = re.match(r"([A-Za-z][\w+.-]*):", uri)
    return found[1].lower().partition("+")[0] if found else ""


def _check_server(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise UserError("names no server", where=uri, remedy="give http://HOST:PORT")


def _check_database(uri: str, *, reads: bool) -> None:
    file = _file_of(uri)
    if not uri.partition(":")[2].startswith("///") or file.name in ("", ":memory:"):
        raise UserError("names no file", where=uri, remedy="give sqlite:///FILE, or sqlite:////FOLDER/FILE")
    if file.is_file():
        _check_tables(file, uri, may_be_empty=not reads)
    elif reads or file.exists():
        raise UserError(
            "no such database", where=uri, remedy="give one that MLflow wrote, such as runs/mlflow.db"
        )
    elif not file.parent.is_dir():
        raise UserError(
            f"no such folder: {file.parent}", where=uri, remedy="make it first, or mend the address"
        )


def _check_tables(file: Path, uri: str, *, may_be_empty: bool) -> None:
    """A file of another kind would be spoiled by MLflow's tables; one that is locked is not looked into."""
    try:
        tables = _tables(file)
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError:
        tables = {"no database"}
    if "experiments" not in tables and not (may_be_empty and not tables):
        raise UserError("is no database of MLflow", where=uri, remedy="give the file that MLflow wrote")


def _file_of(uri: str) -> Path:
    """The file that a sqlite address names."""
    return Path(unquote(uri.partition(":")[2].partition("?")[0])[3:])


def _tables(file: Path) -> set[str]:
    """Opened for writing too, since what a killed process left half done has to be taken back first."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=1.0)) as found:
        return {name for (name,) in found.execute(TABLES)}


def _check_folder(uri: str, *, reads: bool) -> None:
    folder = Path(unquote(urlsplit(uri).path) if uri.lower().startswith("file:") else uri)
    if folder.is_file() or (reads and not folder.is_dir()):
        raise UserError("no such folder", where=uri, remedy="give one that MLflow wrote, such as ./mlruns")
    if not reads and not folder.is_dir() and not folder.absolute().parent.is_dir():
        missing = folder.absolute().parent
        raise UserError(f"no such folder: {missing}", where=uri, remedy=MAKE_IT)


def _plugged_in() -> set[str]:
    """Schemes that other packages give to MLflow."""
    return {entry.name for entry in entry_points(group="mlflow.tracking_store")}
