"""The command line in this process, with everything that takes long or leaves the machine refused."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shlex
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from harness import cli
from harness.pipeline import load
from harness.pipeline.yaml_file import Document, read

ROOT = Path(__file__).parents[2]
COMMAND = typer.main.get_command(cli.app)
"""Made once: a hundred calls are a fifth as long."""
SMALL = ("git", "uname", "ldconfig", "gcc", "ld", "lscpu")
"""Programs that libraries ask about the machine."""


class TookLong(AssertionError):
    """A command began what only good input may begin."""


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


def call(line: str, folder: Path) -> Outcome:
    """Run `harness LINE` in `folder`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as around:
        around.enter_context(_in_folder(folder))
        around.enter_context(mock.patch.object(sys, "argv", ["harness", *shlex.split(line)]))
        around.enter_context(mock.patch.object(cli, "app", COMMAND))
        around.enter_context(mock.patch.object(load, "read", _read))
        around.enter_context(_signals_as_they_were())
        around.enter_context(nothing_long())
        around.enter_context(contextlib.redirect_stdout(out))
        around.enter_context(contextlib.redirect_stderr(err))
        code = _exit_code()
    return Outcome(code, out.getvalue(), err.getvalue())


def _read(path: Path) -> Document:
    """A YAML file; those that are shipped are parsed once."""
    return _shipped(path) if ROOT in path.parents else read(path)


_shipped = functools.cache(read)


def _exit_code() -> int:
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    raise AssertionError("main ends the process")


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _signals_as_they_were() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def nothing_long() -> Iterator[None]:
    """No stage is started and no connection made."""
    begin = subprocess.Popen.__init__

    def start(self: Any, args: Any, *rest: Any, **settings: Any) -> None:
        if Path(args[0] if isinstance(args, list) else str(args)).name not in SMALL:
            raise TookLong(f"this was started: {args}")
        begin(self, args, *rest, **settings)

    def connect(self: Any, address: Any) -> None:
        raise TookLong(f"this was connected to: {address}")

    with (
        mock.patch.object(subprocess.Popen, "__init__", start),
        mock.patch.object(socket.socket, "connect", connect),
    ):
        yield
