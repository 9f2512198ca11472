"""What `harness fetch` brought into a folder: its `manifest.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.base import Inside, Record

FetchKind = Literal["model", "data set", "files of"]
"""`files of` a benchmark are what it fetches by its own ways."""


class FetchedFile(Record):
    """One file below the folder, with its size in bytes and the SHA-256 of its contents."""

    path: Inside
    bytes: int
    sha256: str


class FetchedThing(Record):
    """What lies in `place`, a folder below the folder: a repository of a hub, or what a library keeps.

    `commits` are those that the repository was fetched at, none for what has no commits.
    """

    what: str
    name: str
    place: Inside
    commits: list[str]
    files: list[FetchedFile]


class FetchedNeed(Record):
    """Something that a comparison asked for and that is here as a whole.

    `settings` tell two of one name apart: a data set's configuration, a benchmark's task. `places` are the
    folders that it was put into.
    """

    kind: FetchKind
    name: str
    revision: str | None = None
    settings: str = ""
    places: list[str] = Field(default_factory=list)

    def is_like(self, other: FetchedNeed) -> bool:
        """Whether both ask for the same, wherever it lies."""
        return all(getattr(self, f) == getattr(other, f) for f in ("kind", "name", "revision", "settings"))

    def in_words(self) -> str:
        """As messages name it."""
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.kind} {self.name}{at}" + (f" ({self.settings})" if self.settings else "")


class LeftOut(Record):
    """What a comparison needs and what this folder cannot hold, or need not."""

    what: str
    why: str


class FetchManifest(Record):
    """All that is in the folder; a need that does not stand here is not here, whatever lies about."""

    schema_version: Literal[1] = 1
    written_by: str
    source: str
    needs: list[FetchedNeed]
    things: list[FetchedThing]
    left_out: list[LeftOut]
