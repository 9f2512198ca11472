"""Whether an error says that a disk is full, and the one message that follows."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError

EXIT_CODE = 28
"""A stage's process ends with it where the disk is too full to say so in a file."""
TIGHT_BYTES = 1 << 20
MAKE_ROOM = (
    "make room (`harness clean` says what the runs can do without), or give a folder on another disk by --out"
)
GOES_ON = "what is finished is kept, and the same command goes on"
_ERRORS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = re.compile(
    "|".join(re.escape(os.strerror(number)) for number in _ERRORS) + r"|\(os error (28|122)\)"
)
"""Libraries that write by themselves (safetensors, sqlite, Arrow) pass on the system's words alone."""


def says_full(error: BaseException) -> bool:
    """Whether the error, or one that it followed from, is that of a full disk or quota."""
    return any(
        getattr(one, "errno", None) in _ERRORS or _WORDS.search(str(one)) is not None for one in _chain(error)
    )


def full_disk(place: Path, fact: str = "the disk is full") -> UserError:
    """The message for a disk that was found full; `fact` may say who found it."""
    return UserError(
        f"{fact} ({room(place)})",
        where=str(place),
        remedy=f"{MAKE_ROOM}; {GOES_ON}",
    )


def room(place: Path) -> str:
    """What is free where `place` lies."""
    usage = shutil.disk_usage(_existing(place))
    return f"{in_words(usage.free)} free of {in_words(usage.total)}"


def free_bytes(place: Path) -> int:
    """Bytes that may be written where `place` lies, now."""
    return shutil.disk_usage(_existing(place)).free


def in_words(size: float) -> str:
    """Bytes in the unit that people name."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 2**10:,.0f} KiB"


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.exists())


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
