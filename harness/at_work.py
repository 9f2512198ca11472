"""Who works in a stage's folder: its process holds a lock there, which ends with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

AT_WORK = ".at_work"
DYING_SECONDS = 5.0


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Hold the stage's folder as its process does: `worked_in_by` sees it until the process is gone."""
    with (folder / AT_WORK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            handle.write(str(os.getpid()))
            handle.flush()
            yield
        finally:
            (folder / AT_WORK).unlink(missing_ok=True)


def worked_in_by(folder: Path) -> str | None:
    """The process that works in a stage's folder; a process that is just dying is waited for."""
    until = time.monotonic() + DYING_SECONDS
    while (process := _holder(folder)) is not None and time.monotonic() < until:
        time.sleep(0.1)
    return process


def _holder(folder: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError), (folder / AT_WORK).open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return handle.read().strip() or "?"
    return None
