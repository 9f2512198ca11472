"""What trackers are told of a comparison, item by item, as lines that outlive the command. Pure.

A line is one JSON list, ASCII, with its kind first, so that a point is known for one unread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.tracking import COMPARISON, DataSet, Ended, Point, TrackedRun

POINT_MARK = b'["point"'


@dataclass(frozen=True)
class Starts:
    """A run begins."""

    run: TrackedRun


@dataclass(frozen=True)
class Logged:
    """One point of the run `key`."""

    key: str
    point: Point


@dataclass(frozen=True)
class Tagged:
    """Words about the run `key`."""

    key: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Ends:
    """The run `key` is over."""

    key: str
    ended: Ended


@dataclass(frozen=True)
class Completes:
    """The comparison is over, and its record tells all; `report` lies in the run root, or is absolute.

    `began_ms` is when the command began, which its run's end cannot come before.
    """

    comparison: str
    report: str | None
    began_ms: int = 0


Item = Starts | Logged | Tagged | Ends | Completes


def line_of(item: Item) -> bytes:
    """An item as a line, with its end."""
    return json.dumps(_parts(item)).encode("ascii") + b"\n"


def _parts(item: Item) -> list[Any]:
    match item:
        case Logged(key, point):
            return ["point", key, point.step, point.at_ms, dict(point.values)]
        case Starts(run):
            return ["starts", asdict(replace(run, settings=dict(run.settings), tags=dict(run.tags)))]
        case Tagged(key, tags):
            return ["tags", key, dict(tags)]
        case Ends(key, ended):
            return ["ends", key, asdict(replace(ended, tags=dict(ended.tags)))]
        case Completes():
            return ["completes", asdict(item)]


def item_of(line: bytes) -> Item:
    """The item that a line was made of; raises ValueError for what is none."""
    try:
        kind, *rest = json.loads(line)
        return _read(kind, rest)
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(f"not a line of a tracker's queue: {line[:80]!r}") from error


def _read(kind: str, rest: Sequence[Any]) -> Item:
    match kind:
        case "point":
            key, step, at_ms, values = rest
            return Logged(key, Point(step, at_ms, values))
        case "starts":
            (fields,) = rest
            data = fields["data"] and DataSet(**fields["data"])
            return Starts(TrackedRun(**{**fields, "data": data}))
        case "tags":
            key, tags = rest
            return Tagged(key, tags)
        case "ends":
            key, fields = rest
            return Ends(key, Ended(**fields))
        case "completes":
            (fields,) = rest
            return Completes(**fields)
    raise ValueError(f"no item of a tracker's queue is called {kind}")


class Context:
    """What a tracker knows after some items: its open runs, and which of the record's values they have."""

    def __init__(self) -> None:
        self.open: dict[str, TrackedRun] = {}
        self.names: dict[str, set[str]] = {}
        self.done: set[str] = set()
        self.comparisons: set[str] = set()

    def take(self, item: Item) -> None:
        """The next item was told."""
        match item:
            case Starts(run):
                if run.key == COMPARISON and run.comparison not in self.comparisons:
                    # Cells and stages are called alike in every comparison.
                    self._forget()
                self.open[run.key] = run
                self.names.setdefault(run.key, set())
                self.done.discard(run.key)
                self.comparisons.add(run.comparison)
            case Logged(key, point):
                self.names.setdefault(key, set()).update(point.values)
            case Ends(key, ended):
                self.open.pop(key, None)
                self.names.pop(key, None)
                if ended.stamp:
                    self.done.add(key)
            case Completes():
                self.comparisons.add(item.comparison)
                self._forget()

    def _forget(self) -> None:
        """Let go of the runs of a comparison that is over."""
        self.open.clear()
        self.names.clear()
        self.done.clear()
