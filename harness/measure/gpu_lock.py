"""Keeps a second comparison off a device: two at once spoil each other's times."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from harness.errors import UserError

ANOTHER = "choose another GPU by --device (`harness doctor` lists them)"


class GpuLock:
    """Held from `with` to its end, by an flock on a file that is named after the device.

    The kernel lets go of it when the process ends, however it ends, so a file that is left over
    locks nobody out. `folder` is the same for every user of the machine.
    """

    def __init__(self, device: str, *, folder: Path | None = None) -> None:
        name = re.sub(r"[^A-Za-z0-9-]+", "-", device).strip("-")
        self.path = (folder or Path(tempfile.gettempdir())) / f"orpo-harness-{name}.lock"
        self._device = device
        self._handle: IO[str] | None = None

    def __enter__(self) -> GpuLock:
        self._handle = self._open()
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = self._owner()
            self._handle.close()
            self._handle = None
            raise UserError(
                f"another comparison is running on this device ({owner})",
                where=self._device,
                remedy="wait for it" if self._device.startswith("cpu:") else f"wait for it, or {ANOTHER}",
            ) from None
        self._handle.seek(0)
        self._handle.truncate()
        json.dump(_facts(), self._handle)
        self._handle.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self) -> IO[str]:
        """The file, which every user may lock whatever the umask of the one who made it."""
        before = os.umask(0)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(
                f"cannot be locked ({error.strerror})",
                where=str(self.path),
                remedy="let this file be written by everybody who uses the device, or set TMPDIR",
            ) from None
        finally:
            os.umask(before)
        return os.fdopen(descriptor, "r+", encoding="utf-8")

    def _owner(self) -> str:
        assert self._handle is not None
        try:
            facts: dict[str, Any] = json.loads(self._handle.read())
        except ValueError:
            return "by an unknown process"
        return f"process {facts.get('pid')} of {facts.get('user')}, since {facts.get('since')}"


def _facts() -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {"pid": os.getpid(), "user": user, "since": now}
