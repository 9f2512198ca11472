"""What people see of a comparison from its first stage to its report: the terminal, and `status.json`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status

from harness.errors import Interrupted, JobsLeft, StageFailed
from harness.records import Plan, PlannedStage, StageResult
from harness.running.course import REPORTS, Course
from harness.running.progress import Terminal
from harness.running.reusable import ran_out_of_memory, reusable
from harness.running.status import FILE, State, all_statuses, write_status
from harness.running.time_left import REPORT_SECONDS
from harness.running.watch import Watcher
from harness.store.run_dir import RunRoot
from harness.units import seconds

WRITE_EVERY_SECONDS = 1.0


class StatusFile:
    """Writes what `course` knows, at most once a second; stands after it among the watchers.

    The parent writes between messages, and a disk that is full costs the status and not the comparison.
    """

    def __init__(self, folder: Path, course: Course, console: Console) -> None:
        self.folder = folder
        self._course, self._console = course, console
        self._written = 0.0
        self._fails = False

    def says(self, stage: PlannedStage, text: str) -> None:
        """Written with the next message."""

    def begins(self, stage: PlannedStage) -> None:
        """At once."""
        self.write()

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """Once a second."""
        if time.monotonic() - self._written >= WRITE_EVERY_SECONDS:
            self.write()

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """At once."""
        self.write()

    def write(self, state: State = "running") -> None:
        """All that is known now."""
        self._written = time.monotonic()
        try:
            write_status(self.folder, self._course.status(state))
        except OSError as error:
            if not self._fails:
                self._console.print(f"{self.folder / FILE} is not written: {error.strerror}", style="yellow")
            self._fails = True


class Showing:
    """Makes the watchers of each plan of one command; the status tells of its end, however it comes.

    A comparison may pass through several plans (settings that fit, a matched budget): the status is that of
    the last. Without a `file` nothing is written. `devices` is how many run units side by side.
    """

    def __init__(self, root: RunRoot, console: Console, *, file: bool = True, devices: int = 1) -> None:
        self._root, self._console, self._writes = root, console, file
        self._devices = devices
        self._course: Course | None = None
        self._file: StatusFile | None = None

    def watch(self, plan: Plan, course: Callable[..., Course] = Course) -> Sequence[Watcher]:
        """The watchers of `plan`, which knows the stages that are finished; `course` makes the first."""
        found = {digest: reusable(self._root, plan, digest) for digest in plan.order}
        done = {d: r for d, r in found.items() if r is not None and not ran_out_of_memory(r)}
        same = self._course if self._course is not None and self._course.plan.id == plan.id else None
        self._course = made = course(
            plan, done, report=self.report_seconds(), before=same, devices=self._devices
        )
        watchers: list[Watcher] = [made, Terminal(self._console, made)]
        if self._writes:
            self._forget(plan)
            self._file = StatusFile(self._root.run_folder(plan.id), made, self._console)
            watchers.append(self._file)
        return watchers

    def ends_search(self) -> None:
        """The trials are over; their status stays beside that of the comparison that follows, since it may go
        on to theirs."""
        assert self._course is not None
        self._course.does("finished")
        self._write("finished")
        self._file = None

    @contextlib.contextmanager
    def report(self) -> Iterator[None]:
        """The time in which the report is written, which foretells that of the next."""
        assert self._course is not None
        self._course.does(REPORTS)
        self._write("running")
        began = time.monotonic()
        with self._spinner() if self._console.is_terminal else contextlib.nullcontext():
            yield
        self._course.report_seconds = time.monotonic() - began
        Terminal(self._console, self._course).tells(f"report: {seconds(self._course.report_seconds)}")

    def _spinner(self) -> Status:
        return self._console.status(f"{REPORTS} ...", refresh_per_second=1)

    def __enter__(self) -> Showing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._course is None:
            return
        if error is None:
            self._course.does("finished")
            self._write("finished")
        elif isinstance(error, Interrupted | KeyboardInterrupt):
            ended = self._course.ended
            where = f"in {ended.name}; " if ended is not None else ""
            left = isinstance(error, JobsLeft)
            self._stop("interrupted", str(error) if left else f"{where}the same command continues")
        else:
            cause = f"{error.stage}: {error.cause}" if isinstance(error, StageFailed) else str(error)
            self._stop("failed", cause.partition("\n")[0])

    def _stop(self, state: State, message: str) -> None:
        assert self._course is not None
        self._course.does(state)
        self._course.message = message
        self._write(state)

    def _write(self, state: State) -> None:
        if self._file is not None:
            self._file.write(state)

    def _forget(self, plan: Plan) -> None:
        """An earlier plan of this command has come to nothing, and its status tells of no run."""
        if self._file is None or self._file.folder == self._root.run_folder(plan.id):
            return
        (self._file.folder / FILE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It holds something else.
            self._file.folder.rmdir()

    def report_seconds(self) -> float:
        """What the report should take: as the newest of this root."""
        timed = (status.report_seconds for status in all_statuses(self._root.path))
        return next((took for took in timed if took is not None), REPORT_SECONDS)
