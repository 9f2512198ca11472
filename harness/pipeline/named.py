"""What a setting can name outside the project: a file or folder, or a repository on a hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from harness.pipeline.spec_model import SpecModel

RepoKind = Literal["model", "dataset"]


@dataclass(frozen=True)
class HubRepo:
    """A model or a data set by its name on the hub; `revision` None is the newest."""

    name: str
    kind: RepoKind
    revision: str | None = None


Named = Path | HubRepo


@runtime_checkable
class NamesFiles(Protocol):
    """A plug-in whose settings name files, folders or hub repositories."""

    def files(self, config: SpecModel) -> list[Named]: ...


@runtime_checkable
class NeedsHub(Protocol):
    """A plug-in that may have to fetch something from a hub."""

    def needs_hub(self, config: SpecModel) -> bool: ...


@runtime_checkable
class Fetches(Protocol):
    """A benchmark that fetches by its own ways, and not whole repositories."""

    def wants(self, config: SpecModel) -> list[str]:
        """Names of what its settings may make it fetch."""

    def fetch(self, config: SpecModel, want: str) -> None:
        """Have what `wants` named in the caches that the environment points at; raises UserError."""


@runtime_checkable
class AsksServer(Protocol):
    """A judge that is reached over a network, and so cannot be fetched."""

    def server(self, config: SpecModel) -> str | None:
        """The address that is asked, or None where it is this machine's own."""


def path_or_repo(name: str, kind: RepoKind, revision: str | None = None) -> Named:
    """The folder or file `name` where there is one, else the repository of that name."""
    return Path(name) if Path(name).exists() else HubRepo(name, kind, revision)
