"""What processes that were killed left in a root: half-written files, and stages that came to nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.artifacts import CHECKPOINTS, NOT_WRITTEN_BY_IT
from harness.at_work import worked_in_by

_TEMPORARY = re.compile(r"\..+\.(\d+)")
_AT_THE_TOP = re.compile(r"\.(latest|writable)\.\d+")
CACHES = ("cache/flops", "cache/reference")
"""What stages keep for each other, in the root."""
RUN_FILES = ("record.json", "plan.json", "status.json")
"""A folder with one of these is a run's; others beside it may be the user's own."""
KEPT_OF_HALF = (*NOT_WRITTEN_BY_IT, CHECKPOINTS, "steps.jsonl")
"""What tells why and when a stage broke off, and what its next attempt may go on from."""


def remove_leftovers(root: Path, stages: Path) -> list[Path]:
    """Remove it; returns what was removed. The root's lock has to be held."""
    found = [*_temporaries(root, stages), *_halves(stages)]
    for path in found:
        # Another command may have ended its own in the meantime.
        with contextlib.suppress(OSError):
            remove(path)
    return found


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; a link's target is left alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _temporaries(root: Path, stages: Path) -> Iterator[Path]:
    """Files named `.<name>.<process>` whose process is gone."""
    yield from (path for path in _hidden(root) if _AT_THE_TOP.fullmatch(path.name) and is_left_over(path))
    runs = (folder for folder in root.iterdir() if any((folder / name).is_file() for name in RUN_FILES))
    for folder in (*runs, *stages.iterdir(), *(root / name for name in CACHES)):
        if folder.is_dir() and not folder.is_symlink():
            yield from filter(is_left_over, _hidden(folder))


def _halves(stages: Path) -> Iterator[Path]:
    """What a stage without a result wrote, where no process works in it any more."""
    for folder in stages.iterdir():
        unfinished = folder.is_dir() and "." not in folder.name and not (folder / "result.json").is_file()
        if unfinished and (folder / "request.json").is_file() and worked_in_by(folder) is None:
            for path in folder.iterdir():
                if not any(path.match(kept) for kept in KEPT_OF_HALF):
                    yield path


def _hidden(folder: Path) -> Iterator[Path]:
    return folder.glob(".*.*")


def is_left_over(path: Path) -> bool:
    """Whether the process that a file or folder is named after is gone.

    A process of this number that is this one has only just begun, and left nothing yet.
    """
    named = _TEMPORARY.fullmatch(path.name)
    if named is None:
        return False
    process = int(named[1])
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
