"""Whether what is to be written fits on the disk, asked when it is about to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError
from harness.full_disk import GOES_ON, MAKE_ROOM, free_bytes, in_words
from harness.records import Plan, PlannedStage, Prediction, RehearseFacts, StageResult
from harness.running.outlook import rehearsal_of

MORE = 1.1
"""Items and steps beside the weights."""


def bytes_of(prediction: Prediction) -> float:
    """What one run of a stage leaves on the disk."""
    return prediction.checkpoint_bytes * MORE


def check_room(root: Path, needed: float, what: str) -> None:
    """Raise UserError where `what` needs more than is free in `root` now."""
    free = free_bytes(root)
    if needed > free:
        raise UserError(
            f"{what} need {in_words(needed)} of disk and {in_words(free)} are free",
            where=str(root),
            remedy=f"{MAKE_ROOM}, use fewer --seeds or LoRA (--set training.lora.r=16); {GOES_ON}",
        )


def check_room_for(stage: PlannedStage, plan: Plan, results: Mapping[str, StageResult], root: Path) -> None:
    """Raise UserError where a training stage's weights do not fit, perhaps days after the forecast."""
    rehearsal = results.get((stage.kind == "train" and rehearsal_of(plan, stage)) or "")
    prediction = None if rehearsal is None else rehearsal.facts_as(RehearseFacts).prediction
    if prediction is not None:
        check_room(root, bytes_of(prediction), f"the weights of {stage.name}")
