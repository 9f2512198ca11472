"""What hears of a comparison while it runs: the terminal, and trackers.

Watchers are called in the parent, between a stage's messages, so that nothing they do is on a measured clock.
"""

from __future__ import annotations

from typing import Any, Protocol

from harness.records import PlannedStage, StageResult


class Watcher(Protocol):
    """Told of every stage of a plan, in the order in which they run."""

    def says(self, stage: PlannedStage, text: str) -> None:
        """A stage is not run, and why: it is reused, or left out."""

    def begins(self, stage: PlannedStage) -> None:
        """The stage's process is about to start."""

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        """A message of its process (`StageContext.report`), and an empty one about every second."""

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        """The stage has a result, or what stopped it, which is raised next."""
