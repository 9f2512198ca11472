"""What a setting can name outside the project: a file or folder, or a repository on a hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RepoKind = Literal["model", "dataset"]


@dataclass(frozen=True)
class HubRepo:
    """A model or a data set by its name on the hub; `revision` None is the newest."""

    name: str
    kind: RepoKind
    revision: str | None = None


Named = Path | HubRepo


def path_or_repo(name: str, kind: RepoKind, revision: str | None = None) -> Named:
    """The folder or file `name` where there is one, else the repository of that name."""
    return Path(name) if Path(name).exists() else HubRepo(name, kind, revision)
