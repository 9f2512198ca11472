"""trl.experimental.orpo.ORPOTrainer: its own tokenisation, full logits, NLL over prompt and answer.

Its token ids may differ from those of the other trainers; the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.measure.theory import FULL_LOGITS
from harness.methods.orpo import Config
from harness.records import HeadFacts, HeadKind
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.shape import Shape, Side
from harness.training.stock.observed import StockTrainer, random_sequences
from harness.training.stock.texts import preference_texts

NOT_SCORED = -100


class StockORPO(StockTrainer, ORPOTrainer):
    """TRL's own losses and loss scaling, averaged over micro-batches.

    Its truncation counts a BOS that it sets itself, so it may cut earlier than the prepared tokens.
    """

    loss_is_scaled_for_ga = False
    nll_scope = "prompt+response"
    head_cost = FULL_LOGITS
    names: ClassVar = {
        "nll_loss": "nll",
        "log_odds_ratio": "log_odds_ratio",
        "log_odds_chosen": "log_odds_margin",
        "logps/chosen": "logp_chosen",
        "logps/rejected": "logp_rejected",
        "rewards/accuracies": "preference_accuracy",
    }

    def tokenize_row(self, feature: Any, model: Any = None) -> dict[str, Any]:
        """TRL's tokens of a pair; raises UserError where its truncation leaves an answer no scored token."""
        row: dict[str, Any] = super().tokenize_row(feature, model)
        for side in ("chosen", "rejected"):
            if all(label == NOT_SCORED for label in row[f"{side}_labels"][1:]):
                raise UserError(
                    f"TRL's ORPO cuts the {side} answer away whole after the prompt "
                    f'"{feature["prompt"].strip()[:40]}", and its loss would be 0 / 0',
                    remedy="raise data.max_length, or use implementation: matched",
                )
        return row

    def stored_metrics(self) -> Mapping[str, list[float]]:
        stored: Mapping[str, list[float]] = self._stored_metrics["train"]
        return stored

    def shape_of(self, batch: Any) -> Shape:
        chosen, rejected = batch["chosen_input_ids"], batch["rejected_input_ids"]
        size, length = 2 * chosen.shape[0], max(chosen.shape[1], rejected.shape[1])
        masks = [batch[f"{side}_attention_mask"] for side in ("chosen", "rejected")]
        tokens, learned = sum(int(mask.sum()) for mask in masks), int(masks[0][:, 1:].sum())
        return Shape(Bucket(size, length, size * (length - 1)), len(chosen), tokens, learned)

    def sides(self, batch: Any) -> list[Side]:
        """TRL scores every real token of the chosen sequence in the NLL."""
        real = [batch[f"{side}_attention_mask"] == 1 for side in ("chosen", "rejected")]
        return [
            Side(batch["chosen_input_ids"], real[0], real[0]),
            Side(batch["rejected_input_ids"], real[1], batch["rejected_labels"] != -100),
        ]

    def synthetic_batch(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        ids, half = random_sequences(bucket, self.vocabulary)["input_ids"], bucket.batch // 2
        batch: dict[str, torch.Tensor] = {}
        for name, rows in (("chosen", slice(0, half)), ("rejected", slice(half, None))):
            batch |= {
                f"{name}_input_ids": ids[rows],
                f"{name}_attention_mask": torch.ones_like(ids[rows]),
                f"{name}_labels": ids[rows],
            }
        batch["prompt_input_ids"] = ids[:half, :1]
        batch["prompt_attention_mask"] = torch.ones_like(ids[:half, :1])
        prepared: dict[str, torch.Tensor] = self._prepare_inputs(batch)
        return prepared

    def head_facts(self) -> HeadFacts:
        return HeadFacts(kind=HeadKind.FULL_LOGITS)


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockORPO:
    """Stock ORPO over the texts of `data`."""
    config = job.config
    assert isinstance(config, Config)
    if config.early_stopping is not None:
        raise UserError("early_stopping is for implementation: matched", remedy="leave one of them out")
    settings = arguments(
        ORPOConfig,
        job,
        beta=config.lambda_,
        max_length=job.facts.max_length,
        disable_dropout=False,  # Dropout acts in every method or in none.
    )
    settings.remove_unused_columns = False
    return StockORPO(
        job,
        model=policy.model,
        args=settings,
        train_dataset=preference_texts(job),
        processing_class=tokenizer,
    )
