"""A unit while it runs: its events are told to the driver's watchers; it starts again where it was lost."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import Interrupted, StageFailed
from harness.executors import LOG, OVER, Executor, Job
from harness.pipeline.blocks import Unit
from harness.pipeline.covers import digest_of
from harness.records import FailedStage, Plan, PlannedStage, StageResult
from harness.running.unit_files import Tail, UnitOrder, error_of, write_order
from harness.running.watch import Watcher
from harness.store.run_dir import RunRoot

RETRIES = 3
"""How often a unit starts again whose worker was lost; finished stages stay finished."""
VISIBLE_SECONDS = 60.0
"""How long a file may take to be seen here that was written on another node."""


class UnitRun:
    """A unit handed to an executor; `failed` are stages of it that ended without a result, and `begun` those
    that ran. `error` is what stopped it."""

    def __init__(
        self,
        unit: Unit,
        order: UnitOrder,
        folder: Path,
        *,
        plan: Plan,
        root: RunRoot,
        watchers: Sequence[Watcher],
        executor: Executor,
        variables: Mapping[str, str],
        needs: tuple[str, ...],
    ) -> None:
        self.unit, self.folder = unit, folder
        self.over = False
        self.error: Exception | None = None
        self.failed: list[FailedStage] = []
        self.begun: set[str] = set()
        self._plan, self._root, self._watchers, self._executor = plan, root, watchers, executor
        write_order(folder, order, plan)
        command = (sys.executable, "-m", "harness.running.worker", str(folder))
        self._log = folder / LOG
        asks = digest_of([order.plan, order.stages])
        self._job = Job(unit.name, folder, command, dict(variables), needs=needs, asks=asks)
        self._interrupted = False
        self._running = dict[str, PlannedStage]()
        self._said: str | None = None
        self._retries, self._ended_at = RETRIES, 0.0
        # What another job of this unit told is over; what one told that is found has to be heard.
        new = Tail(folder, from_start=False)
        self._handle = executor.start(self._job)
        self._tail = Tail(folder) if self._handle.found else new

    def look(self) -> None:
        """Tell what has happened since; takes note of the end, and starts a lost unit again."""
        state = self._handle.state()
        self._tell_of_queue()
        self._tell()
        if self.over or state not in OVER:
            self._ended_at = 0.0
        elif state == "lost" or self._interrupted:
            self._start_again()
        elif state == "failed" or not self._may_still_be_seen():
            self._stop("its worker ended without a result")

    def beat(self) -> None:
        """The empty message by which watchers go on between a stage's own."""
        for stage in self._running.values():
            self._hear(stage, {})

    def stop(self) -> None:
        """End its worker, which ends its stage."""
        if not self.over:
            self._handle.stop()

    def drain(self) -> None:
        """Tell the rest of a unit that was stopped."""
        self._tell()
        self._end_running()

    def tidy(self) -> None:
        """Remove its folder, of which nobody needs anything where all went well."""
        if self.error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start_again(self) -> None:
        place = self._handle.place()
        self._end_running()
        where = f" on {place}" if place else ""
        if not self._retries:
            self._stop(f"its worker was lost{where}, for the {RETRIES + 1}th time")
            return
        self._retries, self._interrupted = self._retries - 1, False
        first = self._plan.stages[self.unit.stages[0]]
        for watcher in self._watchers:
            watcher.says(first, f"its worker was lost{where}; {self.unit.name} starts again")
        self._handle = self._executor.start(self._job)

    def _may_still_be_seen(self) -> bool:
        self._ended_at = self._ended_at or time.monotonic()
        return time.monotonic() - self._ended_at < VISIBLE_SECONDS

    def _stop(self, cause: str) -> None:
        self.error = StageFailed(self.unit.name, cause=cause, log_path=str(self._log), log_tail="")
        self.over = True

    def _end_running(self) -> None:
        """Stages whose process is gone with their worker; the same stage begins again."""
        for stage in list(self._running.values()):
            self._end(stage, Interrupted(stage.name))

    def _tell_of_queue(self) -> None:
        said = self._handle.told()
        if said is not None and said != self._said:
            for watcher in self._watchers:
                watcher.says(self._plan.stages[self.unit.stages[0]], said)
        self._said = said

    def _tell(self) -> None:
        for event in self._tail.read():
            if event["event"] == "over":
                self._take_end(event)
            else:
                self._pass_on(self._plan.stages[event["stage"]], event)

    def _take_end(self, event: Mapping[str, Any]) -> None:
        """Someone else than this command may have asked the worker to end: it is lost like a killed one."""
        said = event["error"]
        if said is not None and said["kind"] == "interrupted":
            self._interrupted = True
            return
        self.failed = [FailedStage.model_validate(one) for one in event["failed"]]
        self.error = error_of(said, unit=self.unit.name, log=self._log) if said is not None else None
        self.over = True

    def _pass_on(self, stage: PlannedStage, event: Mapping[str, Any]) -> None:
        if event["event"] == "says":
            for watcher in self._watchers:
                watcher.says(stage, event["text"])
        elif event["event"] == "begins":
            self._begin(stage)
        elif event["event"] == "hears":
            self._hear(stage, event["message"])
        elif event["error"] is not None:
            self._end(stage, error_of(event["error"], unit=self.unit.name, log=self._log))
        else:
            self._end(stage, self._result(stage))

    def _begin(self, stage: PlannedStage) -> None:
        self._running[stage.digest] = stage
        self.begun.add(stage.digest)
        for watcher in self._watchers:
            watcher.begins(stage)
        place = self._handle.place()
        if place is not None:
            self._hear(stage, {"place": str(place)})

    def _hear(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.hears(stage, message)

    def _end(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        self._running.pop(stage.digest, None)
        for watcher in self._watchers:
            watcher.ends(stage, outcome)

    def _result(self, stage: PlannedStage) -> StageResult:
        """The result of a stage that ended well on another node."""
        until = time.monotonic() + VISIBLE_SECONDS
        while (result := self._root.finished(stage.digest)) is None:
            if time.monotonic() > until:
                raise StageFailed(
                    stage.name,
                    cause="finished on its node, and its result is not seen here",
                    log_path=str(self._root.stage_folder(stage.digest) / "log.txt"),
                    log_tail="",
                )
            time.sleep(0.2)
        return result
