"""A comparison told to trackers while it runs: a watcher that queues what it hears.

What is streamed is what the record holds: a stage's end adds the rows that no message carried (probes,
running FLOPs), and the comparison's end the runs that nobody watched, since they were reused.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from harness.errors import Interrupted, StageFailed
from harness.jsonl import read_jsonl
from harness.records import ComparisonRecord, Plan, PlannedCell, PlannedStage, StageResult
from harness.redact import redact
from harness.running.outbox import in_words
from harness.running.queues import account, outbox, report_in, say
from harness.running.streamed import Streamed
from harness.running.told import Completes, Ends, Item, Logged, Starts, Tagged
from harness.running.tracked import (
    cell_key,
    cell_run,
    comparison_run,
    data_set,
    milliseconds,
    score_values,
    stage_ended,
    stage_key,
    stage_points,
    stage_run,
    step_values,
)
from harness.store.run_dir import RunRoot
from harness.tracking import COMPARISON, NOW_TAG, DataSet, Ended, Point, TrackedRun

SETTLE_SECONDS = 60.0
CLOSE_SECONDS = 60.0
APART_SECONDS = 0.05
"""Between two steps that are told: telling one takes some 0.1 ms of CPU time."""
TIMED = ("rehearse", "rehearse_evaluate", "train")


class Tracking:
    """A watcher that tells `names` of one comparison; a context that says how the comparison ended."""

    def __init__(self, names: Sequence[str], root: RunRoot, project: str, console: Console) -> None:
        self._root, self._console = root, console
        self._outboxes = [outbox(name, root, project, console) for name in names]
        self._lost: OSError | None = None
        self._began_ms = _now_ms()
        self._plan: Plan | None = None
        self._data: DataSet | None = None
        self._open: dict[str, None] = {}
        self._has_trained = False
        self._streamed: dict[str, Streamed] = {}
        self._told_at: dict[str, float] = {}

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for key in reversed(list(self._open)):
                self._end(key, _broken(error))
        self._close()

    def plans(self, plan: Plan) -> None:
        """The plan whose stages come next.

        A later one takes its place before anything was trained; after that, where memory ran out, the earlier
        one has failed and the later one is another comparison.
        """
        if self._plan is not None and plan.id == self._plan.id:
            return
        for key in reversed(list(self._open)) if self._has_trained else ():
            self._end(
                key, Ended("failed", _now_ms(), f"{plan.id} takes its place: other settings were needed.")
            )
        self._plan, self._has_trained = plan, False
        self._start(comparison_run(plan, self._began_ms))

    def says(self, stage: PlannedStage, text: str) -> None:
        """Nothing: a stage that is not run is told from the record."""

    def begins(self, stage: PlannedStage) -> None:
        """The stage's run, and its cell's before it; what they take is over before a clock runs."""
        self._tell(Tagged(COMPARISON, {NOW_TAG: stage.name}))
        found = self._trains(stage)
        if found is not None:
            plan, cell = found
            self._has_trained = True
            prepared = self._root.finished(plan.prepare)
            self._data = data_set(prepared) if prepared is not None else None
            if cell_key(cell) not in self._open:
                self._start(cell_run(plan, cell, _now_ms(), self._data))
            self._start(stage_run(plan, cell, stage.digest, _now_ms(), self._data))
            self._streamed[stage.digest] = Streamed(stage_key(plan, cell, stage.digest))
        for box in self._outboxes if stage.kind in TIMED else ():
            box.settle(SETTLE_SECONDS)

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """One step's values; steps that come too fast to be told one by one wait for the stage's end."""
        metrics, now = message.get("metrics"), time.monotonic()
        told_at = self._told_at.get(stage.digest, -APART_SECONDS)
        if metrics and stage.kind == "train" and now - told_at >= APART_SECONDS:
            self._told_at[stage.digest] = now
            streamed = self._streamed[stage.digest]
            point = Point(message["step"], _now_ms(), step_values(metrics))
            streamed.add(point)
            self._log(streamed.key, point)

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """What the messages did not carry, and how the stage ended; a scored cell gets its scores."""
        streamed = self._streamed.pop(stage.digest, None)
        if isinstance(outcome, BaseException):
            if streamed is not None:
                self._end(streamed.key, _broken(outcome))
        elif streamed is not None:
            self._trained(streamed, outcome)
        elif stage.kind == "evaluate":
            self._scored(outcome)

    def completes(self, record: ComparisonRecord, report_folder: Path) -> None:
        """The runs that nobody watched, what the others lack, and the files, all from the record on disk."""
        self._open.clear()
        report = report_in(self._root, report_folder)
        self._tell(Completes(record.id, report, self._began_ms))
        self._close()

    def _close(self) -> None:
        """Send the rest, and say what became of a tracker that failed."""
        boxes, self._outboxes = self._outboxes, []
        for box in boxes:
            box.close(CLOSE_SECONDS)
            account(box, self._root, self._console)

    def _trained(self, streamed: Streamed, result: StageResult) -> None:
        folder = self._root.stage_folder(result.digest)
        for point in stage_points(result, read_jsonl(folder / result.outputs["steps"])):
            self._log(streamed.key, streamed.rest(point))
        self._end(streamed.key, stage_ended(result, folder, None))

    def _scored(self, result: StageResult) -> None:
        cells = self._plan.cells if self._plan else []
        key = next((cell_key(cell) for cell in cells if cell.evaluate == result.digest), None)
        if key in self._open:
            self._log(key, Point(0, milliseconds(result.finished_at), score_values(result.scores)))

    def _trains(self, stage: PlannedStage) -> tuple[Plan, PlannedCell] | None:
        """The plan and the cell that a training stage is named after; None for another stage."""
        plan = self._plan
        if stage.kind != "train" or plan is None:
            return None
        cells = [cell for cell in plan.cells if stage.digest in cell.stages]
        named = (cell for cell in cells if stage_key(plan, cell, stage.digest) == stage.name)
        return plan, next(named, cells[0])

    def _start(self, run: TrackedRun) -> None:
        self._open[run.key] = None
        self._tell(Starts(run))

    def _log(self, key: str, point: Point) -> None:
        if point.values:
            self._tell(Logged(key, point))

    def _end(self, key: str, ended: Ended) -> None:
        self._open.pop(key, None)
        self._tell(Ends(key, ended))

    def _tell(self, item: Item) -> None:
        """Queue an item; after a queue that the disk did not take, only the record tells what is missing."""
        if self._lost is not None and not isinstance(item, Completes):
            return
        try:
            for box in self._outboxes:
                box.tell(item)
        except OSError as error:
            if self._lost is None:
                say(
                    self._console,
                    f"What trackers are told cannot be kept ({in_words(error)}); the comparison goes on, and "
                    "they are told of it at its end.",
                )
            self._lost = error


def _broken(error: BaseException) -> Ended:
    """How a run ended that `error` stopped."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return Ended("killed", _now_ms(), "Interrupted; the same command continues.")
    tail = f"\n\n```\n{error.log_tail}\n```" if isinstance(error, StageFailed) else ""
    return Ended("failed", _now_ms(), redact(f"{error}{tail}"))


def _now_ms() -> int:
    return int(time.time() * 1000)
