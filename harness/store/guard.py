"""What a disk may do to a root while a command writes there, as one message each."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StageFailed, UserError
from harness.full_disk import GOES_ON, full_disk, says_full

STAGES = "stages"
LOST = (errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM)
"""A file system that went away under a command, or may not be written to any more."""


@contextlib.contextmanager
def guarded(root: Path) -> Iterator[None]:
    """Turn errors of the body that come from the disk under `root` into a UserError; others pass."""
    try:
        yield
    except (OSError, StageFailed) as error:
        told = _in_words(root, error)
        if told is None:
            raise
        raise told from error


def _in_words(root: Path, error: OSError | StageFailed) -> UserError | None:
    if says_full(error):
        return full_disk(root)
    if not (root / STAGES).is_dir():
        return UserError(
            "was removed while a command wrote there",
            where=str(root),
            remedy="see that nothing clears this folder, or give another by --out; the same command goes on "
            "with what is left",
        )
    if isinstance(error, OSError) and error.errno in LOST and _lies_in(root, error.filename):
        return UserError(
            f"cannot be written to any more ({error.strerror})",
            where=str(error.filename),
            remedy=f"mend the disk or its permissions, or give another folder by --out; {GOES_ON}",
        )
    return None


def _lies_in(root: Path, file: object) -> bool:
    return isinstance(file, str | Path) and Path(file).absolute().is_relative_to(root.absolute())
