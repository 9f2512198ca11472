"""trl.SFTTrainer on prompts and completions, scoring the completion."""

from __future__ import annotations

from typing import Any

import torch
import trl

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.records import HeadFacts, HeadKind
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.shape import Shape, Side
from harness.training.stock.observed import StockTrainer, fused_head_cost, random_sequences
from harness.training.stock.texts import completion_texts


class StockSFT(StockTrainer, trl.SFTTrainer):
    """TRL's loss: the sum over the effective batch's completion tokens divided by their count."""

    nll_scope = "response"

    def shape_of(self, batch: Any) -> Shape:
        size, length = batch["input_ids"].shape
        scored = int((batch["labels"][:, 1:] != -100).sum())
        return Shape(Bucket(size, length, scored), size, int(batch["attention_mask"].sum()), scored)

    def sides(self, batch: Any) -> list[Side]:
        return [Side(batch["input_ids"], batch["attention_mask"] == 1, batch["labels"] != -100)]

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        batch = random_sequences(bucket, self.vocabulary)
        labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
        prepared: dict[str, torch.Tensor] = self._prepare_inputs({**batch, "labels": labels})
        return prepared

    def head_facts(self) -> HeadFacts:
        return HeadFacts(kind=HeadKind.FUSED)


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockSFT:
    """Stock SFT over the texts of `data`."""
    if job.config.early_stopping is not None:
        raise UserError("early_stopping is for implementation: matched", remedy="leave one of them out")
    trainer = StockSFT(
        job,
        model=policy.model,
        args=arguments(trl.SFTConfig, job, max_length=job.facts.max_length, packing=False),
        train_dataset=completion_texts(job),
        processing_class=tokenizer,
    )
    trainer.head_cost = fused_head_cost()
    return trainer
