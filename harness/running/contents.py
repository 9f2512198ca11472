"""Digests of what settings name: files and folders by their contents, hub repositories by their commit."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from harness.errors import UserError
from harness.pipeline.named import HubRepo, Named, RepoKind

BLOCK = 1 << 22
COMMIT = re.compile(r"[0-9a-f]{40}")


def digests_of(named: Iterable[Named]) -> dict[str, str]:
    """Digest by path or name. What is not there is left out, and so is a repository whose commit is not
    known here: whoever reads it says so, in the check stage."""
    digests = {}
    for one in named:
        if isinstance(one, HubRepo):
            digest = commit_if_known(one)
        else:
            digest = digest_of_path(one) if one.exists() else None
        if digest is not None:
            digests[one.name if isinstance(one, HubRepo) else str(one)] = digest
    return digests


def digest_of_path(path: Path) -> str:
    """16 hex digits over a file's bytes, or over the names and bytes of all files of a folder.

    Hidden files and folders (`.git`, `.cache`) are left out.
    """
    if path.is_file():
        return sha256_of(path)[:16]
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path)
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts):
            total.update(f"{name.as_posix()}\0{sha256_of(file)}\n".encode())
    return total.hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """64 hex digits over a file's bytes, which are read once also where links lead to them."""
    state = path.stat()
    return _read(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read(path: Path, size: int, changed: int) -> str:
    """sha256 of a file; `size` and `changed` let a file that stayed as it was be read once a process."""
    total = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def commit_if_known(repo: HubRepo) -> str | None:
    """The commit that a repository's name means in the local cache or on the hub, else None."""
    try:
        return hub_commit(repo.name, repo.revision, repo.kind)
    except UserError:
        return None


def repo_folder(name: str, kind: RepoKind) -> str:
    """What the hub's cache calls the folder of a repository."""
    return f"{kind}s--{name.replace('/', '--')}"


def hub_commit(name: str, revision: str | None, kind: RepoKind) -> str:
    """The commit that a hub name means now; offline, the one in the local cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / repo_folder(name, kind)
    cached = folder / "refs" / (revision or "main")
    if os.environ.get("HF_HUB_OFFLINE") != "1":
        try:
            return str(HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=10).sha)
        except Exception as error:
            if not cached.is_file():
                raise _unreachable(name, kind, error) from error
    if cached.is_file():
        return cached.read_text().strip()
    if revision is not None and COMMIT.fullmatch(revision) and (folder / "snapshots" / revision).is_dir():
        return revision
    raise _unreachable(name, kind, None)


def _unreachable(name: str, kind: RepoKind, error: Exception | None) -> UserError:
    why = f" ({type(error).__name__})" if error else " (HF_HUB_OFFLINE is set)"
    what = {"model": "model", "dataset": "data set"}[kind]
    flag = {"model": "--model (make: MODEL=)", "dataset": "--data (make: DATA=)"}[kind]
    return UserError(
        f'{what} "{name}" is neither a local path nor cached, and the hub did not give it{why}',
        remedy=f"check the name, the network and HF_TOKEN for gated ones, or give a local path by {flag}",
    )
