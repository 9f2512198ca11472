"""A file that one process at a time holds, and what it says of its holder. The kernel lets go of it when the
process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

LONGEST = 300
"""Characters of what a holder says: the file may be written by any user of the machine."""


class Held(Exception):
    """Another process holds the file; `holder` is None where it does not say who it is."""

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(str(holder))


@dataclass(frozen=True)
class Holder:
    """Who holds a file, since when (UTC), and what for."""

    pid: int
    user: str
    since: str
    what: str

    def __str__(self) -> str:
        return f"{self.what or 'a process'} (process {self.pid} of {self.user}, since {self.since})"


class LockFile:
    """Held from `acquire` to `release`. The file stays, since one that is removed could be held twice."""

    def __init__(self, path: Path, *, mode: int = 0o644) -> None:
        self.path, self._mode = path, mode
        self._descriptor: int | None = None

    def acquire(self, what: str) -> None:
        """Take it for `what`; raises Held, and OSError where the file cannot be opened or locked."""
        descriptor, writable = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(descriptor)
            os.close(descriptor)
            raise Held(holder) from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        # Who holds it is a help for others, and a full disk is no reason not to hold it.
        with suppress(OSError):
            if writable:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(_this_process(what))).encode(), 0)

    def release(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> tuple[int, bool]:
        """A descriptor, and whether it can be written: one that can only be read locks as well.

        Without O_CREAT first: in a sticky folder the kernel may refuse it for a file of another user.
        """
        for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR, os.O_RDONLY):
            try:
                descriptor = self._open_as(flags)
            except (FileNotFoundError, FileExistsError, PermissionError) as error:
                refused = error
                continue
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "it is no plain file", str(self.path))
            return descriptor, flags != os.O_RDONLY
        raise refused

    def _open_as(self, flags: int) -> int:
        before = os.umask(0)
        try:
            return os.open(self.path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, self._mode)
        finally:
            os.umask(before)


def _this_process(what: str) -> Holder:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = str(os.getuid())
    return Holder(os.getpid(), user, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ"), what)


def _read(descriptor: int) -> Holder | None:
    try:
        facts = json.loads(os.pread(descriptor, 1 << 16, 0))
        pid, *texts = (facts[name] for name in ("pid", "user", "since", "what"))
        return Holder(int(pid), *map(_plain, texts))
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _plain(text: object) -> str:
    """Printable characters alone: no control sequence of another user reaches a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(text))[:LONGEST]
