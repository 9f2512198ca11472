"""Stages that are interrupted in mid-run, and what is compared of them afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from harness.jsonl import read_jsonl
from harness.training import run as run_module
from harness.training.job import TrainJob, TrainOutcome

EVERY_STEP = 1e-9
"""Seconds between checkpoints."""
ADAPTERS = {"r": 4, "alpha": 8, "dropout": 0.2}


class Stop(TrainerCallback):
    """Ends the process's work in mid-run, after the checkpoint of `step` was completed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@contextlib.contextmanager
def stopping_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trainers that are built meanwhile stop when `step` steps are done."""
    built = run_module.build

    def build(*arguments: Any) -> Any:
        trainer = built(*arguments)
        trainer.add_callback(Stop(step))
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "build", build)
        yield


def weights(job: TrainJob) -> dict[str, torch.Tensor]:
    return load_file(next((job.out / "model").glob("*.safetensors")))


def figures(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value for m in outcome.ledger}


def series(job: TrainJob) -> list[dict[str, Any]]:
    """Rows without times, which are another machine moment's."""
    rows = read_jsonl(job.out / "steps.jsonl")
    return [
        {"step": r["step"], **{k: v for k, v in r["metrics"].items() if k != "elapsed_seconds"}} for r in rows
    ]
