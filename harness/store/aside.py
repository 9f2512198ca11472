"""Stages set aside to be run again: nothing is deleted, and what was not run again can be put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.records import StageRequest
from harness.store.run_dir import RunRoot
from harness.store.stage_files import read_request, read_whole


def set_aside(root: RunRoot, digests: Iterable[str]) -> dict[str, Path]:
    """Move finished stages and all that was made from them aside; returns their folders by digest.

    What was made from a stage goes first, so that at no time a stage stands beside inputs that are not
    its own, however the process ends. Unfinished stages are left as they are.
    """
    moved = {}
    for digest in reversed(_with_followers(root, digests)):
        result = root.finished(digest) or root.cleaned(digest)
        if result is not None:
            folder = root.aside_folder(digest, result.finished_at)
            os.replace(root.stage_folder(digest), folder)
            moved[digest] = folder
    return moved


def put_back(root: RunRoot, moved: dict[str, Path]) -> list[str]:
    """Undo `set_aside` for what was not run again, nor made from what was; returns those digests."""
    stale = {digest for digest in moved if root.finished(digest) is not None}
    inputs = {digest: _inputs(read_request(folder)) for digest, folder in moved.items()}
    while more := {digest for digest, needed in inputs.items() if needed & stale} - stale:
        stale |= more
    returned = [digest for digest in moved if digest not in stale]
    for digest in returned:
        if root.stage_folder(digest).exists():
            shutil.rmtree(root.stage_folder(digest))
        os.replace(moved[digest], root.stage_folder(digest))
    return returned


def newest_of(root: RunRoot, name: str) -> StageRequest | None:
    """What the newest finished stage of this name in the root was asked."""
    requests: list[tuple[str, StageRequest]] = []
    for folder in (root.path / "stages").glob("*/"):
        request = read_request(folder)
        if request is not None and request.name == name:
            result = read_whole(folder)
            requests += [(result.finished_at, request)] if result is not None else []
    return max(requests, key=lambda one: one[0])[1] if requests else None


def _with_followers(root: RunRoot, digests: Iterable[str]) -> list[str]:
    """`digests` and every stage of the root that was made from one of them, inputs first."""
    inputs = {
        folder.name: _inputs(read_request(folder))
        for folder in (root.path / "stages").glob("*/")
        if "." not in folder.name
    }
    ordered = list(dict.fromkeys(digests))
    for digest in ordered:
        ordered += [name for name, needed in inputs.items() if digest in needed and name not in ordered]
    return _inputs_first(ordered, inputs)


def _inputs_first(digests: list[str], inputs: dict[str, set[str]]) -> list[str]:
    placed: list[str] = []
    waiting = list(digests)
    while waiting:
        ready = [d for d in waiting if not inputs.get(d, set()) & set(waiting)]
        placed += ready or waiting
        waiting = [d for d in waiting if d not in placed]
    return placed


def _inputs(request: StageRequest | None) -> set[str]:
    """The stages whose folders a stage was given."""
    return {Path(folder).name for folder in request.inputs.values()} if request is not None else set()
