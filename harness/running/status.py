"""`status.json` of a run: where a comparison is, for whoever looks from another terminal."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.records import Record, StageKind
from harness.whole_file import write_atomically

FILE = "status.json"
State = Literal["running", "finished", "failed", "interrupted"]


class Process(Record):
    """The process that runs a comparison. `started` tells it from a later one of its number, in ticks since
    the machine started; None where the system does not tell."""

    host: str
    pid: int
    started: int | None = None


class RunningStage(Record):
    """The stage that runs. Times are in UTC, `heard_uptime` by the machine's steady clock.

    `does` is what it does in words; `seconds_left` is None where nothing foretells it. `loss` is None before
    the first step and where it is not finite. `place` is the node and device where several are used.
    """

    number: int
    name: str
    kind: StageKind
    does: str
    began_at: datetime
    heard_at: datetime
    heard_uptime: float | None = None
    step: int = 0
    total: int = 0
    seconds_left: float | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    memory_bytes: int | None = None
    place: str | None = None


class Status(Record):
    """A comparison at `updated_at`: `done` of `stages` stages are finished, `stage` may run, and `beside` it
    others on other devices.

    `updated_uptime` is the same moment by the machine's steady clock, which nobody sets. `seconds_left` is
    that of the whole, its report included, beside what `on_top` names. `message` is what was said last, or
    what stopped it. `diverged` names stages whose loss was not finite, `failed` tells of stages that ended
    without a result, while the others went on.
    """

    schema_version: Literal[1] = 1
    id: str
    name: str
    state: State
    process: Process
    began_at: datetime
    updated_at: datetime
    updated_uptime: float | None = None
    done: int
    stages: int
    does: str
    stage: RunningStage | None = None
    beside: tuple[RunningStage, ...] = ()
    seconds_left: float | None = None
    on_top: tuple[str, ...] = ()
    message: str | None = None
    diverged: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    report_seconds: float | None = None


def running_stages(status: Status) -> list[RunningStage]:
    """All stages that run, the one that began first before the others."""
    return [] if status.stage is None else [status.stage, *status.beside]


def write_status(folder: Path, status: Status) -> None:
    """Write it at once and whole; raises OSError where the folder cannot be written to or has no root."""
    folder.mkdir(exist_ok=True)
    write_atomically(folder / FILE, status.model_dump_json(indent=1))


def read_status(folder: Path) -> Status | None:
    """The status in a run's folder; None where there is none that this version can read."""
    try:
        return Status.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def all_statuses(root: Path) -> list[Status]:
    """The statuses of all runs in a root, the newest first."""
    folders = {path.parent.resolve() for path in root.glob(f"*/{FILE}")}
    found = [status for folder in folders if (status := read_status(folder)) is not None]
    return sorted(found, key=lambda status: status.updated_at, reverse=True)


def this_process() -> Process:
    """The process that asks."""
    return Process(host=socket.gethostname(), pid=os.getpid(), started=_started(os.getpid()))


def is_alive(process: Process) -> bool | None:
    """Whether it still runs; None where it is another machine's."""
    if process.host != socket.gethostname():
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process.started is None or process.started == _started(process.pid)


def _started(pid: int) -> int | None:
    """Field 22 of `/proc/PID/stat`; the second is a name in brackets that may hold blanks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
