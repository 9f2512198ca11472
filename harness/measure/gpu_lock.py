"""Keeps a second comparison off a device: two at once spoil each other's times."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from harness.errors import UserError
from harness.lock_file import Held, LockFile

FOLDER = "HARNESS_LOCKS"
"""The variable that names another folder, such as one that several containers of a machine share."""
PLACES = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))
"""The first that every user may write is the machine's, whatever TMPDIR says; systems differ in which."""
ANOTHER = "choose another GPU by --device (`harness doctor` lists them)"


class GpuLock:
    """Held from `with` to its end, on a file that is named after the device. `what` is measured on it,
    in words for whoever asks meanwhile."""

    def __init__(self, device: str, *, what: str = "", folder: Path | None = None) -> None:
        name = re.sub(r"[^A-Za-z0-9-]+", "-", device).strip("-")
        self.path = (folder or locks_folder()) / f"orpo-harness-{name}.lock"
        self._device, self._what = device, what
        # Every user of the device has to lock the file, whoever made it.
        self._file = LockFile(self.path, mode=0o666)

    def __enter__(self) -> GpuLock:
        try:
            self._file.acquire(self._what)
        except Held as held:
            raise UserError(
                f"{held.holder or 'an unknown process'} measures on this device",
                where=self._device,
                remedy="wait for it" if self._device.startswith("cpu:") else f"wait for it, or {ANOTHER}",
            ) from None
        except OSError as error:
            raise UserError(
                f"cannot be locked ({error.strerror})",
                where=str(self.path),
                remedy="let this file be read and written by everybody who uses the device, or name a folder "
                f"for locks that all of them share by {FOLDER}",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.release()


@contextlib.contextmanager
def locked(devices: Iterable[str], *, what: str) -> Iterator[None]:
    """Hold the locks of several devices, in one order for everybody."""
    with contextlib.ExitStack() as locks:
        for device in sorted(set(devices)):
            locks.enter_context(GpuLock(device, what=what))
        yield


def locks_folder(places: Iterable[Path] = PLACES) -> Path:
    """Where the machine's locks lie; goes by the folders' modes, which are the same for every user."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    return next((place for place in places if _is_for_everybody(place)), Path("/tmp"))


def _is_for_everybody(place: Path) -> bool:
    try:
        mode, flags = place.stat().st_mode, os.statvfs(place).f_flag
    except OSError:
        return False
    return stat.S_ISDIR(mode) and mode & 0o1777 == 0o1777 and not flags & os.ST_RDONLY
