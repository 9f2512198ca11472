"""trl.RewardTrainer on the prepared tokens: the pairs that every arm trains on, cut where they are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import datasets
import torch
import trl

from harness.generate.load import load_weights
from harness.measure.flops import Bucket
from harness.measure.theory import HeadCost
from harness.records import HeadFacts, RewardFacts
from harness.training.arguments import arguments
from harness.training.collate import Rows, read_rows
from harness.training.fingerprint import fingerprint_weights
from harness.training.job import TrainJob
from harness.training.load import Policy, precision_of
from harness.training.reward import MOST_PAIRS, grader, worth
from harness.training.shape import Shape, Side
from harness.training.stock.observed import StockTrainer, random_sequences

NEW = "score."
"""Before the names of what the policy has not: the one output."""


class StockReward(StockTrainer, trl.RewardTrainer):
    """TRL's reward model, averaged over micro-batches."""

    nll_scope = None
    head_cost = HeadCost(recomputes=False, positions="all")
    no_formula = "no formula: a reward's output is no head over a vocabulary"
    names: ClassVar = {"margin": "reward_margin", "accuracy": "reward_accuracy", "mean_reward": "reward"}

    @property
    def vocabulary(self) -> int:
        return int(self.model.get_input_embeddings().weight.shape[0])

    def start_fingerprint(self) -> str:
        """That of the policy whose body this is, once each of its weights is seen to be equal."""
        job = self.job
        dtype = precision_of(job.config).trained
        policy = load_weights(job.model, job.revision, dtype, on_device=False, own_code=job.own_code)
        known = dict(policy.named_parameters())
        for name, weight in self.model.named_parameters():
            assert name.startswith(NEW) or torch.equal(weight.detach().cpu(), known[name]), name
        return fingerprint_weights(policy)

    def shape_of(self, batch: Any) -> Shape:
        size, length = batch["input_ids"].shape
        return Shape(Bucket(size, length, size), size // 2, int(batch["attention_mask"].sum()), 0)

    def sides(self, batch: Any) -> list[Side]:
        ids, real = batch["input_ids"].chunk(2), (batch["attention_mask"] == 1).chunk(2)
        return [Side(ids[side], real[side], None) for side in (0, 1)]

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        batch = random_sequences(bucket, self.vocabulary)
        del batch["completion_mask"]
        prepared: dict[str, torch.Tensor] = self._prepare_inputs(batch)
        return prepared

    def head_facts(self) -> HeadFacts | None:
        """It has no log-probs."""
        return None

    def reward_facts(self, held_out: Path) -> RewardFacts:
        rows = list(read_rows(held_out).first(MOST_PAIRS))
        pad, size = self.processing_class.pad_token_id, self.job.config.micro_batch_size
        return worth(self.model, held_out, rows, pad, size, grader(self.job.facts.source))


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockReward:
    """TRL's trainer over the tokens of `data`."""
    tokens = datasets.Dataset.from_list([_ids(row) for row in data])
    return StockReward(
        job,
        model=policy.model,
        args=arguments(trl.RewardConfig, job, max_length=None, disable_dropout=False),
        train_dataset=tokens,
        processing_class=tokenizer,
    )


def _ids(row: Any) -> dict[str, list[int]]:
    """A pair's sequences, as TRL names them."""
    sides = ("chosen_ids", "rejected_ids")
    return {side: [*map(int, row["prompt_ids"]), *map(int, row[side])] for side in sides}
