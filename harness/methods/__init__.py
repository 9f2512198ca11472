"""Training methods, one file each: `Config`, `train(job)` and `rehearse(job, steps)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.pipeline.spec import TrainConfig
from harness.records import Measurement

if TYPE_CHECKING:
    from harness.measure.window import Window


def _nothing() -> None:
    """What happens at the end of the measured work where no meter runs."""


@dataclass(frozen=True)
class TrainJob:
    """One training stage.

    `model` is a folder (full weights or an adapter) or a hub name; `prepared` the prepare stage's
    folder; `out` receives `model/` and `steps.jsonl`. `trained` is called when the final weights
    are saved, before FLOPs are counted. `rows` replaces every epoch's order of the training data
    by these rows.
    """

    config: TrainConfig
    seed: int
    prepared: Path
    model: str
    revision: str | None
    out: Path
    window: Window
    report: Callable[[int, int, dict[str, float]], None]
    sft_data: Path | None = None
    trained: Callable[[], None] = _nothing
    rows: tuple[int, ...] | None = None


@dataclass(frozen=True)
class TrainOutcome:
    """What a method found; seconds and memory are measured around it."""

    ledger: list[Measurement] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
