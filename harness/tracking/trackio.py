"""Trackio (huggingface/trackio): a run for the comparison, each cell and each stage, in one group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.tracking import Ended, Place, Point, TrackedRun

PACKAGE = "trackio"
WRITE_AGAIN = ""


def open_tracker(place: Place) -> Trackio:
    """A project of the comparison's name, where `TRACKIO_DIR` or `TRACKIO_SPACE_ID` says."""
    return Trackio(place.project)


class Trackio:
    """A tracker that writes through `trackio.init` and its runs."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._runs: dict[str, Any] = {}

    def starts(self, run: TrackedRun) -> None:
        """A run with its settings; trackio cannot rename one that goes on under another id."""
        import trackio

        if run.key in self._runs:
            return
        self._runs[run.key] = trackio.init(
            project=self._project,
            name=f"{run.comparison}/{run.key}" if run.key else run.comparison,
            group=run.comparison,
            config={**run.settings, **run.tags, "kind": run.kind},
            resume="allow",
            embed=False,
        )

    def logs(self, key: str, points: Sequence[Point]) -> None:
        """A row a point."""
        for point in points:
            self._runs[key].log(dict(point.values), step=point.step)

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Trackio has no words that change."""

    def ends(self, key: str, ended: Ended) -> None:
        """Finish the run; trackio knows no other end."""
        self._runs.pop(key).finish()

    def closes(self) -> None:
        """Finish what is still open."""
        for run in self._runs.values():
            run.finish()
