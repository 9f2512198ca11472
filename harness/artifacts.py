"""What a stage wrote, file by file, so that what was damaged since is not believed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.at_work import AT_WORK
from harness.records import Artifact

CHECKPOINTS = "checkpoints"
"""The folder of what a training stage goes on from."""
NOT_WRITTEN_BY_IT = ("request.json", "result.json", "error.json", "owner.txt", "log.txt", AT_WORK)
PIECE = 1 << 20
SMALL, BLOCK, BLOCKS = 8 << 20, 1 << 16, 64
"""Files up to SMALL are read whole; of others a quick look reads so many blocks, evenly spread."""


def written(folder: Path) -> dict[str, Artifact]:
    """Every file that the stage left in its folder, by its place there."""
    return {str(path.relative_to(folder)): _artifact(path) for path in _files(folder)}


def damage(folder: Path, artifacts: Mapping[str, Artifact], *, whole: bool = False) -> dict[str, str]:
    """File -> what became of it, for those that are not as they were written.

    Files that were not touched since are looked at by size and by blocks, others and all where `whole` is
    true from the first byte to the last.
    """
    found = {}
    for name, artifact in artifacts.items():
        said = _damaged(folder / name, artifact, whole=whole)
        if said is not None:
            found[name] = said
    return found


def sketches(folder: Path) -> dict[str, str]:
    """Size and digest of blocks of every file in `folder` itself, by name, all of them safe on the disk."""
    found = {}
    for path in sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        found[path.name] = f"{path.stat().st_size} {_sampled(path)}"
    return found


GONE = "is gone"


def _artifact(path: Path) -> Artifact:
    now, digest = path.stat(), _digest(path)
    sampled = digest if now.st_size <= SMALL else _sampled(path)
    return Artifact(size=now.st_size, modified_ns=now.st_mtime_ns, digest=digest, sampled=sampled)


def _damaged(path: Path, artifact: Artifact, *, whole: bool) -> str | None:
    if not path.is_file():
        return GONE
    now = path.stat()
    if now.st_size != artifact.size:
        return f"has {now.st_size:,} bytes and was written with {artifact.size:,}"
    whole = whole or now.st_mtime_ns != artifact.modified_ns
    same = _digest(path) == artifact.digest if whole else _sampled(path) == artifact.sampled
    return None if same else "was changed"


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        own = path.parent == folder and path.name in NOT_WRITTEN_BY_IT
        if path.is_file() and not path.is_symlink() and not own:
            yield path


def _digest(path: Path) -> str:
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest()


def _sampled(path: Path) -> str:
    size = path.stat().st_size
    if size <= SMALL:
        return _digest(path)
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for number in range(BLOCKS):
            file.seek((size - BLOCK) * number // (BLOCKS - 1))
            found.update(file.read(BLOCK))
    return found.hexdigest()
