"""Supervised fine-tuning on the chosen answers; the loss covers response tokens only."""

from __future__ import annotations

from typing import Any

from harness.methods import TrainJob, TrainOutcome
from harness.pipeline.spec import TrainConfig


class Config(TrainConfig):
    """Nothing beyond what every method has."""


def train(job: TrainJob) -> TrainOutcome:
    """Train with trl.SFTTrainer."""
    from harness.methods import _engine, _sft_trainer

    return _engine.train(job, _sft_trainer.build)


def rehearse(job: TrainJob, steps: int) -> dict[str, Any]:
    """`steps` steps, and what they foretell of the whole."""
    from harness.methods import _calibrate, _sft_trainer

    return _calibrate.rehearse(job, _sft_trainer.build, steps)
