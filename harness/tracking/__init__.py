"""Trackers: where a comparison is watched while it runs and read afterwards, one file a tracker.

A tracker is told of a tree of runs, which are the comparison, its cells and their training stages, and the
trials of its search. It is
called in the parent alone, on a thread of its own, so it may be slow; it raises what it likes, since a
tracker that fails costs a warning and never the training.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from harness import registry
from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.store.run_dir import RunRoot

Setting = str | int | float | bool
RunKind = Literal["comparison", "cell", "stage", "trial"]
Status = Literal["finished", "failed", "killed"]
COMPARISON = ""
"""The key of the comparison's own run."""
NOW_TAG = "harness.now"
"""What the comparison does, as long as it runs."""


@dataclass(frozen=True)
class Place:
    """Where a comparison's runs go: `root` holds all runs, `project` is the comparison's name."""

    root: Path
    project: str


@dataclass(frozen=True)
class DataSet:
    """The pairs that a run read."""

    name: str
    digest: str
    train_pairs: int
    test_pairs: int


@dataclass(frozen=True)
class TrackedRun:
    """A run that begins. `key` is unique within the comparison, whose id is `comparison`; `parent` is a key.

    The comparison's own run may begin again under another id, while it is still open: settings changed before
    anything was trained, and it goes on under that id. A run with a `stamp` is over and told from its record;
    one that stands with the same stamp already is whole.
    """

    comparison: str
    key: str
    name: str
    kind: RunKind
    parent: str | None
    began_ms: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: DataSet | None = None
    stamp: str | None = None


@dataclass(frozen=True)
class Point:
    """Values at one step, heard `at_ms` milliseconds after 1970."""

    step: int
    at_ms: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Ended:
    """How a run ended, and why where it did not finish; `stamp` says what a finished one was made of."""

    status: Status
    at_ms: int
    reason: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    stamp: str | None = None


class Refused(Exception):
    """The tracker is there, and will never take this: it is left out, and the rest goes on."""


class Tracker(Protocol):
    """What every tracker does; parents begin before their children, and points of a step may come late."""

    def starts(self, run: TrackedRun) -> None:
        """A run begins."""

    def logs(self, key: str, points: Sequence[Point]) -> None:
        """Values of a run; the same values may be told again after a failure."""

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Words about a run, in the place of earlier ones of the same name."""

    def ends(self, key: str, ended: Ended) -> None:
        """A run is over."""

    def closes(self) -> None:
        """Nothing more will come."""


@runtime_checkable
class Publishes(Protocol):
    """A tracker that keeps files."""

    def publishes(self, record: ComparisonRecord, root: RunRoot, report_folder: Path | None) -> None:
        """The records and the report, when all is done; a second time renews the report."""


@runtime_checkable
class FindsAgain(Protocol):
    """A tracker that is asked what it holds, so that nothing stands there twice, whatever was told before.

    It is opened anew after every failure. Another one is told again what it may have taken.
    """

    def goes_on(self, run: TrackedRun) -> None:
        """A run that was begun already goes on, or begins where it does not stand there after all."""


@runtime_checkable
class ChecksFirst(Protocol):
    """A tracker's module that finds mistakes in its own settings before anything long; opens nothing."""

    def check(self) -> None:
        """Raise UserError for a mistake."""


class TrackerModule(Protocol):
    """What a tracker's module has: the package that it needs, and how it is opened.

    `WRITE_AGAIN` is the command that writes a finished run to it, empty where there is none.
    """

    PACKAGE: str
    WRITE_AGAIN: str

    def open_tracker(self, place: Place) -> Tracker: ...


def load_tracker(name: str) -> TrackerModule:
    """A tracker's module; imports nothing heavy. Raises UserError for an unknown one."""
    return cast(TrackerModule, registry.load("trackers", name))


def check_installed(names: Sequence[str]) -> None:
    """Raise UserError for a tracker whose package is not there, or whose address is none."""
    for name in names:
        module = load_tracker(name)
        package = module.PACKAGE
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"{name} is asked for and its package is not installed",
                where="tracking",
                remedy=f"pip install {package}, or leave {name} out of tracking",
            )
        if isinstance(module, ChecksFirst):
            module.check()
