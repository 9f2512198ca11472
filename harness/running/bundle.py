"""What lies in a folder that `harness fetch` fills: caches of several libraries, told apart and digested."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.errors import UserError
from harness.records import FetchedFile, FetchedThing
from harness.running.contents import sha256_of
from harness.running.offline import PLACES

PASSING = (".locks", "blobs", ".no_exist", "__pycache__", "CACHEDIR.TAG")
"""What caches hold beside the files that are read: blobs are read through the snapshots' links."""
HUB_KINDS = {"models": "model", "datasets": "data set", "spaces": "space"}
ROOMS = {"datasets": "prepared data set", "evaluate": "metric", "modules": "code", "nltk_data": "nltk data"}


HUB = PLACES["HF_HUB_CACHE"]
SHA256 = re.compile(r"[0-9a-f]{64}")


def things_in(folder: Path) -> list[FetchedThing]:
    """All that lies in the folder, by place, with every file's size and digest."""
    paths: dict[str, list[str]] = {}
    for path in states(folder):
        paths.setdefault(place_of(path), []).append(path)
    return [_thing(folder, place, files) for place, files in sorted(paths.items())]


def _thing(folder: Path, place: str, paths: list[str]) -> FetchedThing:
    top, _, name = place.partition("/")
    commits: list[str] = []
    if top == HUB:
        kind, _, name = name.partition("--")
        what, name = HUB_KINDS.get(kind, kind), name.replace("--", "/")
        commits = sorted(p.name for p in (folder / place / "snapshots").glob("*"))
    else:
        what, name = ROOMS[top], name.replace("___", "/") or top
    files = [
        FetchedFile(path=path, bytes=(folder / path).stat().st_size, sha256=sha256_of(folder / path))
        for path in sorted(paths)
    ]
    return FetchedThing(what=what, name=name, place=place, commits=commits, files=files)


def place_of(path: str) -> str:
    """The folder that a thing lies in: two levels deep, one for nltk's data and for code."""
    top, *rest = PurePosixPath(path).parts
    deep = top in (HUB, PLACES["HF_DATASETS_CACHE"]) and len(rest) > 1
    return f"{top}/{rest[0]}" if deep else top


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file that is read, by its path below the folder."""
    states = {}
    for top in PLACES.values():
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder)
            if path.is_file() and not _passes(name):
                states[name.as_posix()] = (path.stat().st_size, path.stat().st_mtime_ns)
    return states


def _passes(name: Path) -> bool:
    """Whether a file is no part of what was fetched: locks, half-written ones, what nobody reads."""
    passing = any(part in PASSING or ".incomplete" in part for part in name.parts)
    return passing or name.suffix == ".lock"


def remove(folder: Path, place: str, paths: Sequence[str]) -> None:
    """Damaged files of a repository, and blobs that no link leads to; of any other place all, since libraries
    take a folder that is there for whole."""
    if PurePosixPath(place).parts[0] != HUB:
        shutil.rmtree(folder / place, ignore_errors=True)
        return
    for path in paths:
        target = (folder / path).resolve()
        if target.is_relative_to(folder.resolve()):
            target.unlink(missing_ok=True)
        (folder / path).unlink(missing_ok=True)
    linked = {file.resolve() for file in (folder / place / "snapshots").rglob("*")}
    for blob in (folder / place / "blobs").glob("*"):
        if blob.resolve() not in linked:
            blob.unlink()


def check_blobs(folder: Path) -> None:
    """Raise UserError for a file that is not what the hub says by its SHA-256, which is its blob's name; the
    hub names small files otherwise. It is removed, so that it is fetched again."""
    for blob in sorted((folder / HUB).glob("*/blobs/*")):
        if SHA256.fullmatch(blob.name) and sha256_of(blob) != blob.name:
            blob.unlink()
            raise UserError(
                "did not arrive as the hub has it",
                where=str(blob.relative_to(folder)),
                remedy="the same command fetches it again",
            )
