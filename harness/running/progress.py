"""Live progress of a comparison on a terminal, and in plain lines where there is none."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.errors import StageFailed
from harness.records import PlannedStage, StageResult
from harness.running.course import Course
from harness.running.lines import duration, live_lines, plain_line, rates
from harness.units import seconds

SAY_EVERY_SECONDS = 60.0
SHOW_EVERY_SECONDS = 0.5
ECHO = 8
"""Columns left free for the ^C that a terminal echoes: a line that it breaks would stay when the bars go."""


class Terminal:
    """Bars on a terminal, one of each stage that runs and one of the whole; else a line a minute and a stage.

    Stands after `course` among the watchers. Nothing is drawn by a thread: the parent sleeps between
    messages, so that it takes no time from the stage.
    """

    def __init__(self, console: Console, course: Course) -> None:
        self._console, self._course = console, course
        self._said = self._shown = 0.0
        self._began = dict[str, float]()
        self._live: Live | None = None

    def says(self, stage: PlannedStage, text: str) -> None:
        """A line for a stage that is not run."""
        self._print(f"{self._place(stage)}: {text}")

    def begins(self, stage: PlannedStage) -> None:
        """The bars, where there is a terminal."""
        self._began[stage.digest] = self._said = time.monotonic()
        if self._console.is_terminal and self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        if self._live is not None:
            self._show()

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """How far the stage is, and what it says."""
        if "say" in message:
            self._print(f"{self._place(stage)}: {message['say']}")
        now = time.monotonic()
        if self._live is not None and now - self._shown >= SHOW_EVERY_SECONDS:
            self._show()
        elif self._live is None and now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            self._print(plain_line(self._course.status()))

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """What the stage took."""
        began = self._began.pop(stage.digest)
        took = time.monotonic() - began
        if self._live is not None and not self._began:
            self._live.stop()
            self._live = None
        if isinstance(outcome, BaseException):
            cause = f": {outcome.cause} (log: {outcome.log_path})" if isinstance(outcome, StageFailed) else ""
            how = "failed" if cause else "stopped"
            self._print(f"{self._place(stage)}: {how} after {duration(took)}{cause}")
            return
        ended = self._course.ended
        facts = [seconds(took), *(rates(ended) if ended else [])]
        self._print(f"{self._place(stage)}: {', '.join(facts)}")

    def tells(self, text: str) -> None:
        """A line of its own, with the time."""
        self._print(text)

    def _show(self) -> None:
        assert self._live is not None
        self._shown = time.monotonic()
        lines = live_lines(self._course.status(), self._console.width - ECHO)
        self._live.update(Group(*(Text(line, no_wrap=True) for line in lines)), refresh=True)

    def _place(self, stage: PlannedStage) -> str:
        order = self._course.plan.order
        return f"[{order.index(stage.digest) + 1}/{len(order)}] {stage.name}"

    def _print(self, text: str) -> None:
        """With the time of day, and the date where the lines are kept."""
        time_of_day = f"{datetime.now():{'%H:%M:%S' if self._console.is_terminal else '%Y-%m-%d %H:%M:%S'}}"
        self._console.print(f"{time_of_day} {text}", highlight=False, markup=False, soft_wrap=True)
