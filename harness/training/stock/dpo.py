"""trl.DPOTrainer, its reference in the loop; other methods take it with a loss of their own."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import trl

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.methods.dpo import Config
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.compared import Compared, models_of
from harness.training.stock.observed import random_sequences
from harness.training.stock.texts import preference_texts


class StockDPO(Compared, trl.DPOTrainer):
    """TRL's losses of pairs, averaged over micro-batches."""

    names: ClassVar = {"rewards/margins": "reward_margin", "rewards/accuracies": "reward_accuracy"}

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        prepared: dict[str, torch.Tensor] = self._prepare_inputs(random_sequences(bucket, self.vocabulary))
        return prepared


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockDPO:
    """Stock DPO over the texts of `data`; its reference is the model that `job` starts from."""
    return build_with(job, policy, tokenizer, loss_type="sigmoid")


def build_with(job: TrainJob, policy: Policy, tokenizer: Any, **loss: Any) -> StockDPO:
    """TRL's trainer with the settings `loss` of its DPOConfig, which say how a pair is scored."""
    config = job.config
    assert isinstance(config, Config)
    if config.early_stopping is not None:
        raise UserError("early_stopping is for implementation: matched", remedy="leave one of them out")
    return StockDPO(
        job,
        **models_of(job, policy),
        args=arguments(
            trl.DPOConfig,
            job,
            max_length=job.facts.max_length,
            beta=config.beta,
            **loss,
            disable_dropout=False,  # Dropout acts in every method or in none.
        ),
        train_dataset=preference_texts(job),
        processing_class=tokenizer,
    )
