"""Weights & Biases: a run for the comparison, each cell and each stage, in one group."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.tracking import COMPARISON, NOW_TAG, Ended, Place, Point, TrackedRun

PACKAGE = "wandb"
WRITE_AGAIN = ""
EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}


def open_tracker(place: Place) -> Wandb:
    """A project of the comparison's name, as wandb's own variables say; without a key it stays offline."""
    return Wandb(place)


class Wandb:
    """A tracker that writes through `wandb.init` and its runs."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._runs: dict[str, Any] = {}

    def starts(self, run: TrackedRun) -> None:
        """A run with its settings, that starts no other's end."""
        import wandb

        if run.key in self._runs:
            self._runs[run.key].name = run.name
            return
        opened = wandb.init(
            project=self._place.project,
            group=run.comparison,
            job_type=run.kind,
            name=run.name,
            config={**run.settings, **run.tags},
            dir=str(self._place.root),
            mode=_mode(),
            reinit="create_new",
            # The same run again where a later process goes on with what was not sent.
            id=hashlib.sha256(f"{run.comparison} {run.key} {run.began_ms}".encode()).hexdigest()[:16],
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        # Points of a step may come late, which wandb's own steps do not allow.
        opened.define_metric("*", step_metric="step")
        self._runs[run.key] = opened

    def logs(self, key: str, points: Sequence[Point]) -> None:
        """A row a point."""
        for point in points:
            self._runs[key].log({**point.values, "step": point.step})

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Words in the run's summary."""
        self._runs[key].summary.update(dict(tags))

    def ends(self, key: str, ended: Ended) -> None:
        """Finish the run; the reason stands in its summary."""
        self.tags(key, {**ended.tags, **({"why": ended.reason} if ended.reason else {})})
        if key == COMPARISON:
            self.tags(key, {NOW_TAG: ""})
        self._runs.pop(key).finish(exit_code=EXIT_CODES[ended.status])

    def closes(self) -> None:
        """Finish what is still open."""
        for run in self._runs.values():
            run.finish()


def _mode() -> str | None:
    """Offline where nobody logged in, since wandb would ask for a key and wait."""
    known = os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY")
    if known or "api.wandb.ai" in _text(Path.home() / ".netrc"):
        return None
    return "offline"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
