"""Live progress of a comparison: what runs, how far, how long is left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

SAY_EVERY_SECONDS = 60.0


class StageDisplay:
    """A bar for the running stage on a terminal; a line a stage and a minute where there is none."""

    def __init__(self, console: Console, *, number: int, total: int, name: str) -> None:
        self._console = console
        self._label = f"[{number}/{total}] {name}"
        self._began = time.monotonic()
        self._said = self._began
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> StageDisplay:
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
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress:
            self._progress.stop()
        if error[0] is None:
            seconds = time.monotonic() - self._began
            self._console.print(f"{self._label}: {seconds:.1f} s", highlight=False)

    def listen(self, message: dict[str, Any]) -> None:
        """A message of the stage's process."""
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
