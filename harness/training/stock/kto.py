"""trl.KTOTrainer over pairs: batches, steps and order are those of the other methods.

TRL takes examples one by one, in a fixed order, and reads each prompt of a micro-batch with the answer before
it too, to estimate how far the policy has moved. Here a micro-batch of pairs holds their chosen answers and
then the rejected ones, so that the answer before is always of another prompt.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import trl

from harness.measure.flops import Bucket
from harness.methods.kto import Config
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.compared import Compared, models_of
from harness.training.stock.observed import random_sequences
from harness.training.stock.texts import judged_texts

Example = dict[str, Any]
Pair = tuple[Example, Example]
Collate = Callable[[list[Example]], dict[str, torch.Tensor]]
SEQUENCES = ("input_ids", "attention_mask", "completion_mask")


class PairBatches:
    """Pairs to TRL's batch of examples; `collate` is TRL's collator."""

    def __init__(self, collate: Collate, pad_token_id: int) -> None:
        self._collate, self._pad = collate, pad_token_id

    def __call__(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        examples = [example for side in zip(*pairs, strict=True) for example in side]
        answers = [example["completion_ids"] for example in examples]
        rotated = [*answers[-1:], *answers[:-1]]
        batch = self._collate(
            [{**example, "KL_completion_ids": ids} for example, ids in zip(examples, rotated, strict=True)]
        )
        return self._of_one_width(batch)

    def _of_one_width(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Mismatched sequences as wide as the others, so that one shape says what a micro-batch costs."""
        width = max(batch["input_ids"].shape[1], batch["KL_input_ids"].shape[1])
        padded = {}
        for prefix, name in itertools.product(("", "KL_"), SEQUENCES):
            part, value = batch[prefix + name], self._pad if name == "input_ids" else 0
            padded[prefix + name] = torch.nn.functional.pad(part, (0, width - part.shape[1]), value=value)
        return {**batch, **padded}


class StockKTO(Compared, trl.KTOTrainer):
    """TRL's loss, a mean over examples, averaged over micro-batches."""

    train_dataset: Any
    data_collator: Any
    names: ClassVar = {"rewards/margins": "reward_margin", "kl": "kl"}
    forwards_besides = 1

    def __init__(self, job: TrainJob, **settings: Any) -> None:
        super().__init__(job, **settings)
        examples: list[Example] = list(self.train_dataset)
        collate: Collate = self.data_collator
        self.train_dataset = list(zip(examples[::2], examples[1::2], strict=True))
        self.data_collator = PairBatches(collate, self.processing_class.pad_token_id)

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        batch = random_sequences(bucket, self.vocabulary)
        batch |= {f"KL_{name}": batch[name] for name in SEQUENCES}
        batch["label"] = torch.arange(bucket.batch) < bucket.batch // 2
        prepared: dict[str, torch.Tensor] = self._prepare_inputs(batch)
        return prepared


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockKTO:
    """Stock KTO over the texts of `data`; its reference is the model that `job` starts from."""
    config = job.config
    assert isinstance(config, Config)
    settings = arguments(
        trl.KTOConfig,
        job,
        max_length=job.facts.max_length,
        beta=config.beta,
        desirable_weight=config.desirable_weight,
        undesirable_weight=config.undesirable_weight,
        disable_dropout=False,  # Dropout acts in every method or in none.
    )
    settings.remove_unused_columns = False
    return StockKTO(
        job,
        **models_of(job, policy),
        args=settings,
        train_dataset=judged_texts(job),
        processing_class=tokenizer,
    )
