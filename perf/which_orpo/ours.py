"""This project's ORPO: one step of its own trainer, with the weights widened to float64."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from harness.measure.window import Window
from harness.methods import log_odds
from harness.methods.orpo import Config
from harness.records import PrepareFacts
from harness.training.build import build
from harness.training.collate import Row, Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from perf.which_orpo.world import (
    LENGTH,
    MICRO_BATCH,
    WEIGHT,
    Pair,
    read_world,
    tokenizer,
    versions_of,
    write_answer,
)


def trainer_of(model: Any, pairs: Sequence[Pair], out: Path) -> Any:
    """The matched trainer over `pairs`, all of which are one effective batch."""
    settings = {"learning_rate": 1e-3, "lambda": WEIGHT, "precision": "float32", "attention": "eager"}
    sizes = {"batch_size": len(pairs), "micro_batch_size": MICRO_BATCH}
    job = TrainJob(
        method="orpo",
        config=Config.model_validate({**settings, **sizes}),
        seed=0,
        prepared=out,
        facts=PrepareFacts.model_construct(max_length=LENGTH),
        model="",
        revision=None,
        out=out,
        window=Window(),
        report=lambda step, total, metrics: None,
    )
    return build(job, Policy(model), tokenizer(), rows_of(pairs), None)


def rows_of(pairs: Sequence[Pair]) -> Rows:
    """The pairs as they lie in a prepared folder."""
    return Rows(
        [
            Row(
                index=index,
                id=str(index),
                prompt_ids=pair.prompt,
                chosen_ids=pair.chosen,
                rejected_ids=pair.rejected,
            )
            for index, pair in enumerate(pairs)
        ]
    )


def step(trainer: Any) -> tuple[float, torch.Tensor]:
    """The loss of the first optimizer step, and its gradient."""
    loader, count = iter(trainer.get_train_dataloader()), trainer.args.gradient_accumulation_steps
    batches, items = trainer.get_batch_samples(loader, count, trainer.args.device)
    trainer.current_gradient_accumulation_steps = len(batches)
    loss = sum(float(trainer.training_step(trainer.model, dict(batch), items)) for batch in batches)
    return loss, torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])


def odds_term(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """As `harness.methods.orpo` has it."""
    return -logsigmoid(log_odds(chosen, rejected))


if __name__ == "__main__":
    model, pairs = read_world(Path(sys.argv[1]))
    out = Path(sys.argv[2])
    write_answer(out, *step(trainer_of(model, pairs, out)), odds_term, versions_of())
