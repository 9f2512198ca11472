"""Live progress of a comparison: what runs, how far, how long is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from harness.records import PlannedStage, StageResult

SAY_EVERY_SECONDS = 60.0


class Terminal:
    """A bar for the running stage on a terminal; a line a stage and a minute where there is none."""

    def __init__(self, console: Console, order: Sequence[str]) -> None:
        self._console = console
        self._order = order
        self._label = ""
        self._began = self._said = 0.0
        self._progress: Progress | None = None
        self._task: Any = None

    def says(self, stage: PlannedStage, text: str) -> None:
        """A line for a stage that is not run."""
        self._console.print(f"{self._name(stage)}: {text}", highlight=False)

    def begins(self, stage: PlannedStage) -> None:
        """A bar, where there is a terminal."""
        self._label = self._name(stage)
        self._began = self._said = time.monotonic()
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(self._label, total=None, state="starting")

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """What the stage took."""
        if self._progress:
            self._progress.stop()
            self._progress = None
        if not isinstance(outcome, BaseException):
            seconds = time.monotonic() - self._began
            self._console.print(f"{self._label}: {seconds:.1f} s", highlight=False)

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """How far the stage is."""
        if "say" in message:
            self._console.print(f"{self._label}: {message['say']}", highlight=False, soft_wrap=True)
        if "step" not in message:
            return
        step, total = message["step"], max(message["total"], 1)
        elapsed = time.monotonic() - self._began
        left = elapsed / step * (total - step) if step else None
        loss = message["metrics"].get("loss")
        state = f"{step}/{total}" + (f" loss {loss:.3f}" if loss is not None else "")
        state += f", {left:.0f} s left" if left is not None else ""
        if self._progress is not None:
            self._progress.update(self._task, completed=step, total=total, state=state)
        elif time.monotonic() - self._said > SAY_EVERY_SECONDS:
            self._said = time.monotonic()
            self._console.print(f"{self._label}: {state}", highlight=False)

    def _name(self, stage: PlannedStage) -> str:
        return f"[{self._order.index(stage.digest) + 1}/{len(self._order)}] {stage.name}"
