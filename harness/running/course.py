"""Where a comparison is: what runs, how far, what it said last, how long is left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.errors import StageFailed
from harness.records import Plan, PlannedStage, RehearseFacts, StageResult
from harness.running.outlook import look_ahead, rehearsal_of
from harness.running.status import RunningStage, State, Status, this_process
from harness.running.time_left import REPORT_SECONDS, At
from harness.running.time_left_on import time_left_on

STARTS, FINISHES, REPORTS = "starting", "finishing", "writing the report"
DOES: Mapping[str, str] = {
    "start-up": STARTS,
    "data": "reading the data",
    "model_load": "loading the model",
    "reference": "scoring by the reference",
    "reference_read": "reading the reference's log-probs",
    "train": "training",
    "rollout": "answering prompts to learn from",
    "rollout_reference": "scoring its answers by the reference",
    "rollout_reward": "scoring its answers by the reward",
    "save": "saving",
    "evaluation": "probing held-out pairs",
    "checkpoint": "writing a checkpoint",
    "audit": "taking fingerprints",
    "counting": "counting FLOPs",
    "generation": "answering",
    "scoring": "scoring",
}
"""What a stage does, by the phase that it told of (`measure.window`)."""
JUDGES = "judging"
AFTER_STEPS = ("save", "counting", "scoring")
"""Phases that come after a stage's last step, also where it has none."""


class Course:
    """A watcher that remembers; `status()` says it all. `results` are the plan's finished stages.

    `devices` is how many run units side by side, `report` how many seconds the report should take; `ended` is
    the last stage that did, as it was then. `before` is the course of the same comparison until its plan
    became smaller, since stages failed.
    """

    def __init__(
        self,
        plan: Plan,
        results: Mapping[str, StageResult],
        *,
        report: float = REPORT_SECONDS,
        before: Course | None = None,
        devices: int = 1,
    ) -> None:
        self.plan = plan
        self.message: str | None = before.message if before else None
        self.report_seconds: float | None = None
        self.ended: RunningStage | None = None
        self._results, self._report = dict(results), report
        self._outlook = look_ahead(plan, self._results)
        self._process = this_process()
        self._began: datetime = before._began if before else datetime.now(UTC)
        self._diverged: dict[str, None] = before._diverged if before else {}
        self._failed: dict[str, str] = before._failed if before else {}
        self._idle, self._idle_since = STARTS, time.monotonic()
        self._running, self._devices = dict[str, _Stage](), devices

    def says(self, stage: PlannedStage, text: str) -> None:
        """Reused or left out."""
        self.message = f"{stage.name}: {text}"

    def begins(self, stage: PlannedStage) -> None:
        """A stage that runs once more has no result."""
        self._results.pop(stage.digest, None)
        self._failed.pop(stage.digest, None)
        self._diverged.pop(stage.name, None)
        self._outlook = look_ahead(self.plan, self._results, self._failed)
        self._running[stage.digest] = _Stage(stage, self._tokens_per_step(stage))

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """A step, a phase, or something said."""
        running = self._running.get(stage.digest)
        if running is not None:
            running.hear(message)
            if running.diverged:
                self._diverged[stage.name] = None
        if "say" in message:
            self.message = f"{stage.name}: {message['say']}"

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """What it took tells of others."""
        if isinstance(outcome, StageResult):
            self._results[stage.digest] = outcome
        elif isinstance(outcome, StageFailed):
            self._failed[stage.digest] = f"{stage.name} {outcome.cause}"
        self._outlook = look_ahead(self.plan, self._results, self._failed)
        ended = self._running.pop(stage.digest, None)
        self.ended = None if ended is None else ended.record(self.plan, None)

    def does(self, text: str) -> None:
        """What is done between stages and after them, from now on."""
        self._idle, self._idle_since = text, time.monotonic()

    def status(self, state: State = "running") -> Status:
        """All of it at this moment."""
        spent = time.monotonic() - self._idle_since if self._idle == REPORTS else 0.0
        report = max(0.0, self._report - spent)
        left = time_left_on(self.plan, self._devices, self._outlook, self._at(), report=report)
        running = [stage.record(self.plan, left.stages[d]) for d, stage in self._running.items()]
        ended = state != "running"
        return Status(
            id=self.plan.id,
            name=self.plan.name,
            state=state,
            process=self._process,
            began_at=self._began,
            updated_at=datetime.now(UTC),
            updated_uptime=time.monotonic(),
            done=sum(digest in self._results for digest in self.plan.order),
            stages=len(self.plan.order),
            does=running[0].does if running else self._idle,
            stage=running[0] if running else None,
            beside=tuple(running[1:]),
            seconds_left=None if ended else left.whole or None,
            on_top=() if ended else left.on_top,
            message=self.message,
            diverged=tuple(self._diverged),
            failed=tuple(self._failed.values()),
            report_seconds=self.report_seconds,
        )

    def _at(self) -> list[At]:
        return [stage.at() for stage in self._running.values()]

    def _tokens_per_step(self, stage: PlannedStage) -> float | None:
        """The mean of a training stage's steps, as its rehearsal walked them."""
        rehearsal = self._results.get((stage.kind == "train" and rehearsal_of(self.plan, stage)) or "")
        prediction = None if rehearsal is None else rehearsal.facts_as(RehearseFacts).prediction
        return None if prediction is None else prediction.tokens_real / prediction.steps


class _Stage:
    """The stage that runs, as it tells of itself."""

    def __init__(self, stage: PlannedStage, tokens_per_step: float | None) -> None:
        self._stage, self._tokens_per_step = stage, tokens_per_step
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        self._heard_at, self._heard_uptime = self._began_at, self._began
        self._does = STARTS
        self._step = self._total = 0
        self._step_at = 0.0
        self._first: tuple[int, float] | None = None
        self._clocked: tuple[int, float] | None = None
        self._seconds: float | None = None
        self._steps_over: float | None = None
        self._loss: float | None = None
        self._memory: int | None = None
        self._place: str | None = None
        self.diverged = False

    def hear(self, message: Mapping[str, Any]) -> None:
        if not message:
            return
        self._heard_at, self._heard_uptime = datetime.now(UTC), time.monotonic()
        if "phase" in message:
            self._does = self._words(message["phase"])
            if self._steps_over is None and message["phase"] in AFTER_STEPS:
                self._steps_over = time.monotonic() - self._began
        if "step" in message:
            self._take_step(message["step"], message["total"], message["metrics"].get("loss"))
            self._take_clock(message["step"], message["metrics"].get("elapsed_seconds"))
        self._memory = message.get("memory") or self._memory
        self._place = message.get("place") or self._place

    def _words(self, phase: str | None) -> str:
        if phase is None:
            return FINISHES if 0 < self._total <= self._step else self._does
        return JUDGES if self._stage.kind == "judge" and phase == "evaluation" else DOES.get(phase, phase)

    def _take_step(self, step: int, total: int, loss: float | None) -> None:
        """What counts something else than before begins anew."""
        self._step_at = time.monotonic() - self._began
        if total != self._total or step < self._step or self._first is None:
            self._first = (step, self._step_at)
        self._step, self._total = step, total
        if loss is not None:
            self.diverged = not math.isfinite(loss)
            self._loss = None if self.diverged else loss

    def _take_clock(self, step: int, seconds: float | None) -> None:
        """By the stage's own clock: from another process, several steps are heard of at once."""
        self._seconds = seconds
        if seconds is not None and (self._clocked is None or step < self._clocked[0]):
            self._clocked = (step, seconds)

    def at(self) -> At:
        now = time.monotonic() - self._began
        return At(
            digest=self._stage.digest,
            now=now,
            step=self._step,
            total=self._total,
            step_at=self._step_at,
            first=self._first,
            steps_over=self._steps_over,
        )

    def record(self, plan: Plan, left: float | None) -> RunningStage:
        return RunningStage(
            number=plan.order.index(self._stage.digest) + 1,
            name=self._stage.name,
            kind=self._stage.kind,
            does=self._does,
            began_at=self._began_at,
            heard_at=self._heard_at,
            heard_uptime=self._heard_uptime,
            step=self._step,
            total=self._total,
            seconds_left=left,
            loss=self._loss,
            tokens_per_second=self._tokens_per_second(),
            memory_bytes=self._memory,
            place=self._place,
        )

    def _tokens_per_second(self) -> float | None:
        if self._tokens_per_step is None or self._clocked is None or self._seconds is None:
            return None
        steps, seconds = self._step - self._clocked[0], self._seconds - self._clocked[1]
        return self._tokens_per_step * steps / seconds if steps > 0 and seconds > 0 else None
