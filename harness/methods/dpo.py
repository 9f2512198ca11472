"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, eq. 7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from harness.methods import TrainJob, TrainOutcome
from harness.pipeline.spec import TrainConfig


class Config(TrainConfig):
    """`reference`: a frozen copy in the loop, log-probs computed once before training, or the
    policy with its adapter switched off (LoRA that starts from the base model only)."""

    beta: Annotated[float, Field(gt=0)]
    reference: Literal["in_loop", "precomputed", "adapter_off"] = "in_loop"


def train(job: TrainJob) -> TrainOutcome:
    """Train with trl.DPOTrainer."""
    from harness.methods import _dpo_trainer, _engine

    return _engine.train(job, _dpo_trainer.build)


def rehearse(job: TrainJob, steps: int) -> dict[str, Any]:
    """`steps` steps, and what they foretell of the whole."""
    from harness.methods import _calibrate, _dpo_trainer

    return _calibrate.rehearse(job, _dpo_trainer.build, steps)
