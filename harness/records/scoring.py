"""What the check, evaluate and judge stages find out besides their scores."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.records.base import Record, Score
from harness.records.device import DevicePeak


class CheckFacts(Record):
    """Room on the disk, and how many of each benchmark's prompts stand in the training pairs.

    `peaks` are the device's peak rates by the dtype that is computed in: one for all arms.
    """

    kind: Literal["check"] = "check"
    free_disk_bytes: int | None = None
    benchmark_prompts_in_train: dict[str, int] | None = None
    peaks: dict[str, DevicePeak] = Field(default_factory=dict)


class EvaluateFacts(Record):
    """How a cell answered. `generation` are the settings of its answers."""

    kind: Literal["evaluate"] = "evaluate"
    generation: dict[str, Any] | None = None
    answers: int | None = None
    unfinished_answers: int | None = None


class JudgeFacts(Record):
    """Scores of cells that were compared, by cell key: `arm@seed` or `base`."""

    kind: Literal["judge"] = "judge"
    cells: dict[str, list[Score]] = Field(default_factory=dict)
