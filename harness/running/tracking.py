"""A comparison told to trackers while it runs: a watcher that queues what it hears.

What is streamed is what the record holds: a stage's end adds the rows that no message carried (probes,
running FLOPs), and the comparison's end the runs that nobody watched, since they were reused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from harness.errors import Interrupted, StageFailed
from harness.jsonl import read_jsonl
from harness.records import ComparisonRecord, Plan, PlannedCell, PlannedStage, StageResult
from harness.running.outbox import Outbox
from harness.running.tracked import (
    Whole,
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
from harness.running.tracked_record import whole_runs
from harness.store.items import read_series
from harness.store.run_dir import RunRoot
from harness.tracking import (
    COMPARISON,
    DataSet,
    Ended,
    Place,
    Point,
    Publishes,
    TrackedRun,
    Tracker,
    load_tracker,
)

SETTLE_SECONDS = 60.0
CLOSE_SECONDS = 60.0
NOW_TAG = "harness.now"
APART_SECONDS = 0.05
"""Between two steps that are told: telling one takes some 0.1 ms of CPU time."""
TIMED = ("rehearse", "rehearse_evaluate", "train")


class Tracking:
    """A watcher that tells `names` of one comparison; a context that says how the comparison ended."""

    def __init__(self, names: Sequence[str], root: RunRoot, project: str, console: Console) -> None:
        self._root, self._console = root, console
        place = Place(root.path, project)
        self._outboxes = [
            Outbox(name, partial(load_tracker(name).open_tracker, place), self._say) for name in names
        ]
        self._began_ms = _now_ms()
        self._plan: Plan | None = None
        self._data: DataSet | None = None
        self._open: dict[str, set[str]] = {}
        self._done: set[str] = set()
        self._streamed = _Streamed(COMPARISON)
        self._told_at = -APART_SECONDS

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for key in reversed(list(self._open)):
                self._end(key, _broken(error))
        for outbox in self._outboxes:
            outbox.close(CLOSE_SECONDS)

    def plans(self, plan: Plan) -> None:
        """The plan whose stages come next; a later one takes its place before anything was trained."""
        if self._plan is None or plan.id != self._plan.id:
            self._plan = plan
            self._start(comparison_run(plan, self._began_ms))

    def says(self, stage: PlannedStage, text: str) -> None:
        """Nothing: a stage that is not run is told from the record."""

    def begins(self, stage: PlannedStage) -> None:
        """The stage's run, and its cell's before it; what they take is over before a clock runs."""
        self._tell(lambda tracker: tracker.tags(COMPARISON, {NOW_TAG: stage.name}))
        found = self._trains(stage)
        if found is not None:
            plan, cell = found
            prepared = self._root.finished(plan.prepare)
            self._data = data_set(prepared) if prepared is not None else None
            if cell_key(cell) not in self._open:
                self._start(cell_run(plan, cell, _now_ms(), self._data))
            self._start(stage_run(plan, cell, stage.digest, _now_ms(), self._data))
            self._streamed = _Streamed(stage_key(plan, cell, stage.digest))
        for outbox in self._outboxes if stage.kind in TIMED else ():
            outbox.settle(SETTLE_SECONDS)

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """One step's values; steps that come too fast to be told one by one wait for the stage's end."""
        metrics, now = message.get("metrics"), time.monotonic()
        if metrics and stage.kind == "train" and now - self._told_at >= APART_SECONDS:
            self._told_at = now
            point = Point(message["step"], _now_ms(), step_values(metrics))
            self._streamed.add(point)
            self._log(self._streamed.key, point)

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """What the messages did not carry, and how the stage ended; a scored cell gets its scores."""
        if isinstance(outcome, BaseException):
            if stage.kind == "train":
                self._end(self._streamed.key, _broken(outcome))
        elif stage.kind == "train":
            self._trained(self._streamed.key, outcome)
        elif stage.kind == "evaluate":
            self._scored(outcome)

    def completes(self, record: ComparisonRecord, report_folder: Path) -> None:
        """The runs that nobody watched, what the others lack, and the files; says what failed."""
        runs = whole_runs(record, read_series(self._root, record), self._root.folder_of)
        ended = replace(runs[0].ended, at_ms=max(self._began_ms, runs[0].ended.at_ms))
        runs[0] = replace(runs[0], ended=ended)
        told, done = dict(self._open), set(self._done)
        self._tell(lambda tracker: _tell_all(tracker, runs, told, done))
        self._tell(lambda tracker: _publish(tracker, record, self._root, report_folder))
        for outbox in self._outboxes:
            outbox.close(CLOSE_SECONDS)
            if outbox.failures:
                self._account(outbox, record, report_folder)
        self._open.clear()

    def _trained(self, key: str, result: StageResult) -> None:
        folder = self._root.stage_folder(result.digest)
        for point in stage_points(result, read_jsonl(folder / result.outputs["steps"])):
            self._log(key, self._streamed.rest(point))
        self._end(key, stage_ended(result, folder, None))
        self._done.add(key)

    def _scored(self, result: StageResult) -> None:
        cells = self._plan.cells if self._plan else []
        key = next((cell_key(cell) for cell in cells if cell.evaluate == result.digest), None)
        if key in self._open:
            scores = score_values(result.scores)
            self._open[key] |= scores.keys()
            self._log(key, Point(0, milliseconds(result.finished_at), scores))

    def _account(self, outbox: Outbox, record: ComparisonRecord, report_folder: Path) -> None:
        """Say what became of a tracker that failed; one that was given up is written now, where it can be."""
        name, error = outbox.name, outbox.error
        if error is None:
            self._say(
                f"{name} failed {outbox.failures} time(s) while the comparison ran, and holds all of it."
            )
        elif not load_tracker(name).WRITE_AGAIN:
            self._say(f"{name} holds only a part of this run ({_in_words(error)}).")
        elif write(name, record, self._root, report_folder, self._console):
            self._say(f"{name} failed while the comparison ran, and was written at its end.")

    def _trains(self, stage: PlannedStage) -> tuple[Plan, PlannedCell] | None:
        """The plan and the first cell that a training stage is part of; None for another stage."""
        if stage.kind != "train" or self._plan is None:
            return None
        return self._plan, next(cell for cell in self._plan.cells if stage.digest in cell.stages)

    def _start(self, run: TrackedRun) -> None:
        self._open[run.key] = set()
        self._tell(lambda tracker: tracker.starts(run))

    def _log(self, key: str, point: Point) -> None:
        for outbox in self._outboxes if point.values else ():
            outbox.log(key, point)

    def _end(self, key: str, ended: Ended) -> None:
        self._open.pop(key, None)
        self._tell(lambda tracker: tracker.ends(key, ended))

    def _tell(self, call: Callable[[Tracker], object]) -> None:
        for outbox in self._outboxes:
            outbox.tell(call)

    def _say(self, text: str) -> None:
        self._console.print(text, style="yellow", highlight=False, soft_wrap=True)


class _Streamed:
    """Which values of the stage `key` were told by its messages; not the values, since there may be many."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._steps: set[int] = set()
        self._names: set[str] = set()

    def add(self, point: Point) -> None:
        self._steps.add(point.step)
        self._names |= point.values.keys()

    def rest(self, point: Point) -> Point:
        """The values of a point of the record that no message carried."""
        if point.step not in self._steps:
            return point
        return replace(point, values={n: v for n, v in point.values.items() if n not in self._names})


def write(
    name: str, record: ComparisonRecord, root: RunRoot, report_folder: Path | None, console: Console
) -> bool:
    """Write a finished run to one tracker, also a second time; False, with a warning, where it fails."""
    module = load_tracker(name)
    try:
        tracker = module.open_tracker(Place(root.path, record.name))
        _tell_all(tracker, whole_runs(record, read_series(root, record), root.folder_of), {}, set())
        _publish(tracker, record, root, report_folder)
        tracker.closes()
    except Exception as error:
        console.print(
            f"{name} was not written ({_in_words(error)}); the run folder is complete. "
            f"Write it again: {module.WRITE_AGAIN}",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
        return False
    return True


def _tell_all(
    tracker: Tracker, runs: Sequence[Whole], told: Mapping[str, Collection[str]], done: Collection[str]
) -> None:
    """Every run but those that are done; `told` are the open ones with names that they have already."""
    rest = [whole for whole in runs if whole.run.key not in done]
    for whole in rest:
        key = whole.run.key
        if key not in told:
            tracker.starts(whole.run)
        names = told.get(key, ())
        points = [
            replace(point, values={n: v for n, v in point.values.items() if n not in names})
            for point in whole.points
        ]
        tracker.logs(key, [point for point in points if point.values])
    for whole in reversed(rest):
        tracker.ends(whole.run.key, whole.ended)


def _publish(tracker: Tracker, record: ComparisonRecord, root: RunRoot, report_folder: Path | None) -> None:
    if isinstance(tracker, Publishes):
        tracker.publishes(record, root, report_folder)


def _broken(error: BaseException) -> Ended:
    """How a run ended that `error` stopped."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return Ended("killed", _now_ms(), "Interrupted; the same command continues.")
    tail = f"\n\n```\n{error.log_tail}\n```" if isinstance(error, StageFailed) else ""
    return Ended("failed", _now_ms(), f"{error}{tail}")


def _in_words(error: Exception | None) -> str:
    return f"{type(error).__name__}: {error}"


def _now_ms() -> int:
    return int(time.time() * 1000)
