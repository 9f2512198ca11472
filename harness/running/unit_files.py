"""What driver and worker of one unit tell each other, in the unit's folder below the run root.

`plan-<id>.json` beside the units' folders and `unit.json` say what is to run, `events.jsonl` what happens.
Only the worker appends to it, and only the driver reads it, so that any file system will do that both see.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.errors import Interrupted, OutOfMemory, StageFailed, UserError
from harness.executors import Executor
from harness.records import FailedStage, Plan, PlannedStage, Record, StageResult
from harness.redact import redact
from harness.whole_file import write_atomically

UNIT, EVENTS = "unit.json", "events.jsonl"
ASKED = "asked.json"
UNITS = "units"
"""The folder in the run root."""


class UnitOrder(Record):
    """What a worker is to run of the plan of that id, in this order, in the run root at `root`.

    `kind` is the kind of device that its stages' digests hold. `spec` are the settings that are no part of
    the plan. `go_on`, `tried`, `failed` and `anew` are those of an `Execution`.
    """

    name: str
    plan: str
    root: str
    kind: str
    stages: list[str]
    offline: bool
    go_on: bool
    spec: dict[str, Any] = Field(default_factory=dict)
    tried: list[str] = Field(default_factory=list)
    anew: list[str] = Field(default_factory=list)
    failed: list[FailedStage] = Field(default_factory=list)


class AskedBy(Record):
    """The command that handed a comparison's jobs over, and where it was given."""

    command: str
    directory: str


def forget_units(root: Path, held: Callable[[Path], bool]) -> None:
    """Remove what commands left in a root that were killed, but for units that a job still waits or runs for;
    whoever asks holds the root."""
    for folder in sorted((root / UNITS).glob("*")):
        if not [unit for unit in folder.glob("*") if unit.is_dir() and held(unit)]:
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        (root / UNITS).rmdir()


def note_asked(root: Path, name: str, executor: Executor, command: str) -> None:
    """Write down what asked for a comparison whose jobs may outlive it."""
    if executor.lasting:
        folder = root / UNITS / name
        folder.mkdir(parents=True, exist_ok=True)
        asked = AskedBy(command=command, directory=str(Path.cwd()))
        write_atomically(folder / ASKED, asked.model_dump_json())


def asked_in(root: Path) -> dict[str, AskedBy]:
    """What asked for each comparison that has jobs in a run root."""
    files = sorted((root / UNITS).glob(f"*/{ASKED}"))
    return {file.parent.name: AskedBy.model_validate_json(file.read_bytes()) for file in files}


def plan_file(folder: Path, plan_id: str) -> Path:
    """Where the plan of the units in `folder` stands."""
    return folder / f"plan-{plan_id}.json"


def write_order(folder: Path, order: UnitOrder, plan: Plan) -> None:
    """Write what a worker needs; the plan once for all units."""
    folder.mkdir(parents=True, exist_ok=True)
    file = plan_file(folder.parent, plan.id)
    if not file.exists():
        write_atomically(file, plan.model_dump_json())
    write_atomically(folder / UNIT, order.model_dump_json(indent=1))


def read_order(folder: Path) -> tuple[UnitOrder, Plan]:
    """What `write_order` wrote."""
    order = UnitOrder.model_validate_json((folder / UNIT).read_bytes())
    return order, Plan.model_validate_json(plan_file(folder.parent, order.plan).read_bytes())


class Events:
    """The worker's side: a watcher that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        # A worker that was killed may have left half a line, which must not spoil the next.
        os.write(self._file, b"\n")

    def says(self, stage: PlannedStage, text: str) -> None:
        """One line."""
        self._write({"event": "says", "stage": stage.digest, "text": redact(text)})

    def begins(self, stage: PlannedStage) -> None:
        """One line."""
        self._write({"event": "begins", "stage": stage.digest})

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """One line; the empty message of every second is the driver's own."""
        if message:
            self._write({"event": "hears", "stage": stage.digest, "message": message})

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """One line; a result stands in the run root."""
        error = as_json(outcome) if isinstance(outcome, BaseException) else None
        self._write({"event": "ends", "stage": stage.digest, "error": error})

    def over(self, failed: Mapping[str, FailedStage], error: BaseException | None) -> None:
        """The last line: which stages failed, and what stopped the unit, if anything did."""
        noted = [one.model_dump(mode="json") for one in failed.values()]
        self._write({"event": "over", "failed": noted, "error": error and as_json(error)})

    def _write(self, event: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(event).encode("ascii") + b"\n")


class Tail:
    """The driver's side: what was added since it looked last."""

    def __init__(self, folder: Path, *, from_start: bool = True) -> None:
        self._path = folder / EVENTS
        self._at = 0 if from_start or not self._path.exists() else self._path.stat().st_size

    def read(self) -> list[dict[str, Any]]:
        """The whole lines that are new; one that is not whole yet waits, and one that was cut is left out."""
        try:
            with self._path.open("rb") as source:
                source.seek(self._at)
                block = source.read()
        except FileNotFoundError:
            return []
        whole = block[: block.rfind(b"\n") + 1]
        self._at += len(whole)
        return [event for line in whole.splitlines() if (event := _parsed(line)) is not None]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def as_json(error: BaseException) -> dict[str, Any]:
    """An error in words that `error_of` makes one like it from."""
    if isinstance(error, UserError):
        return {"kind": "user", "fact": error.fact, "remedy": error.remedy, "where": error.where}
    if isinstance(error, StageFailed):
        kind = "memory" if isinstance(error, OutOfMemory) else "failed"
        said = {name: getattr(error, name) for name in ("stage", "cause", "log_path", "log_tail", "again")}
        return {"kind": kind, **said}
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return {"kind": "interrupted", "text": str(error)}
    return {"kind": "other", "text": redact(f"{type(error).__name__}: {error}")}


def error_of(said: Mapping[str, Any], *, unit: str, log: Path) -> Exception:
    """The error that `as_json` told of; any other becomes the failure of the unit's worker."""
    kind = said["kind"]
    if kind == "user":
        return UserError(said["fact"], remedy=said["remedy"], where=said["where"])
    if kind in ("memory", "failed"):
        made = OutOfMemory if kind == "memory" else StageFailed
        words = {name: said[name] for name in ("cause", "log_path", "log_tail", "again")}
        return made(said["stage"], **words)
    if kind == "interrupted":
        return Interrupted(said["text"])
    return StageFailed(unit, cause=said["text"], log_path=str(log), log_tail="")
