"""What TRL's experimental trainers of pairs have in common: a tokenisation of their own, and full logits of
chosen and rejected sequences one below the other.

Token ids may differ from those of the other trainers; the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.errors import UserError
from harness.measure.flops import Bucket
from harness.measure.theory import FULL_LOGITS
from harness.records import HeadFacts, HeadKind
from harness.training.shape import Shape, Side
from harness.training.stock.observed import StockTrainer, random_sequences

NOT_SCORED = -100


class Concatenated(StockTrainer):
    """Put before a trainer of `trl.experimental` whose loss and loss scaling stay TRL's own, averaged over
    micro-batches.

    Its truncation counts a BOS that it sets itself, so it may cut earlier than the prepared tokens.
    """

    loss_is_scaled_for_ga = False
    head_cost = FULL_LOGITS

    def tokenize_row(self, feature: Any, model: Any = None) -> dict[str, Any]:
        """TRL's tokens of a pair; raises UserError where its truncation leaves an answer no scored token."""
        row: dict[str, Any] = super().tokenize_row(feature, model)
        for side in ("chosen", "rejected"):
            if all(label == NOT_SCORED for label in row[f"{side}_labels"][1:]):
                raise UserError(
                    f"TRL's {self.job.method.upper()} cuts the {side} answer away whole after the prompt "
                    f'"{feature["prompt"].strip()[:40]}", and its loss would be 0 / 0',
                    remedy="raise data.max_length, or use implementation: matched",
                )
        return row

    def stored_metrics(self) -> Mapping[str, list[float]]:
        stored: Mapping[str, list[float]] = self._stored_metrics["train"]
        return stored

    def shape_of(self, batch: Any) -> Shape:
        chosen, rejected = self.sides(batch)
        assert chosen.scored is not None
        size, length = 2 * chosen.ids.shape[0], max(chosen.ids.shape[1], rejected.ids.shape[1])
        tokens, learned = (int(part.sum()) for part in (chosen.real, chosen.scored[:, 1:]))
        tokens += int(rejected.real.sum())
        return Shape(Bucket(size, length, size * (length - 1)), size // 2, tokens, learned)

    def sides(self, batch: Any) -> list[Side]:
        """TRL's ORPO scores every real token of the chosen sequence in its NLL, the others the answer's."""
        found = []
        for side in ("chosen", "rejected"):
            real = batch[f"{side}_attention_mask"] == 1
            whole = side == "chosen" and self.nll_scope == "prompt+response"
            scored = real if whole else batch[f"{side}_labels"] != NOT_SCORED
            found.append(Side(batch[f"{side}_input_ids"], real, scored))
        return found

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
