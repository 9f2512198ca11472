"""What a finished stage took, in three parts: before its first step, in its steps, after the last. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.quantities import ROLLOUTS
from harness.records import StageKind, StageResult

BEFORE = ("start_up_seconds", "model_load_seconds", "reference_seconds")
ROLLOUT_SECONDS = tuple(quantity.name for quantity in ROLLOUTS)
READ_INSTEAD = {"reference_seconds": "reference_read_seconds"}
STEPS: Mapping[StageKind, tuple[str, ...]] = {
    "prepare": ("data_seconds",),
    "rehearse": ("train_seconds", *ROLLOUT_SECONDS),
    "train": ("train_seconds", *ROLLOUT_SECONDS, "evaluation_seconds", "checkpoint_seconds"),
    "evaluate": ("generation_seconds",),
    "judge": ("evaluation_seconds",),
}
"""The phases in which a stage reports steps: probes and checkpoints fall between those of training."""


@dataclass(frozen=True)
class Parts:
    """Seconds of a stage before its first step, in its steps, and after the last."""

    before: float
    steps: float
    after: float

    @property
    def total(self) -> float:
        """Seconds from its process's start to its end."""
        return self.before + self.steps + self.after


def parts_of(result: StageResult) -> Parts:
    """Start-up and work of a finished stage; all else, such as counting FLOPs, is `after`."""
    ledger = {m.quantity: m.value for m in result.ledger if m.value is not None}
    before = sum(_taken(name, ledger) for name in BEFORE)
    steps = sum(ledger.get(name, 0.0) for name in STEPS.get(result.kind, ()))
    whole = ledger.get("start_up_seconds", 0.0) + _seconds(result.started_at, result.finished_at)
    return Parts(before, steps, max(0.0, whole - before - steps))


def _taken(phase: str, ledger: Mapping[str, float]) -> float:
    """Seconds of this stage's process: where it is charged for another's pass, those of reading it."""
    instead = READ_INSTEAD.get(phase, phase)
    return ledger.get(instead if "amortised_seconds" in ledger else phase, 0.0)


def mean_parts(parts: Sequence[Parts]) -> Parts | None:
    """The mean of each part; None for nothing."""
    if not parts:
        return None
    count = len(parts)
    return Parts(
        sum(one.before for one in parts) / count,
        sum(one.steps for one in parts) / count,
        sum(one.after for one in parts) / count,
    )


def _seconds(began: str, ended: str) -> float:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except ValueError:
        return 0.0
