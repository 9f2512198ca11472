"""TRL's ORPO: its experimental `ORPOTrainer`'s own loss of a batch, and its own tokenisation of texts.

The trainer is made without its constructor, which would tokenise a data set and place a model.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import torch
from trl.experimental.orpo import ORPOTrainer

from perf.which_orpo.world import (
    AFTER_THE_END,
    LENGTH,
    PAD,
    WEIGHT,
    Pair,
    hand_in,
    padded,
    text_of,
    tokenizer,
    versions_of,
)

FROM_TEXTS = "FROM_TEXTS"


def trainer() -> Any:
    """What a loss and a tokenisation read of a trainer."""
    made = ORPOTrainer.__new__(ORPOTrainer)
    made.beta, made.is_encoder_decoder, made.aux_loss_enabled, made.padding_value = WEIGHT, False, False, PAD
    made.max_length, made.processing_class = LENGTH, tokenizer()
    made.accelerator = SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda values: values)
    return made


def row_of_ids(pair: Pair) -> dict[str, list[int]]:
    """A pair as tokenisation would leave it that adds nothing."""
    row = {}
    for side, answer in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        row[f"{side}_input_ids"] = pair.prompt + answer
        row[f"{side}_labels"] = [-100] * len(pair.prompt) + answer
    return row


def row_of_texts(pair: Pair) -> dict[str, list[int]]:
    """A pair's texts, tokenised by the trainer; a template has written a newline after the answers' ends."""
    prompt = text_of(pair.prompt)
    answers = {side: f" {text_of(getattr(pair, side))}{AFTER_THE_END}" for side in ("chosen", "rejected")}
    row: dict[str, list[int]] = trainer().tokenize_row({"prompt": prompt, **answers})
    return row


def loss_of(model: Any, pairs: list[Pair]) -> torch.Tensor:
    """`get_batch_loss_metrics`."""
    rows = [row_of_texts(pair) if os.environ.get(FROM_TEXTS) else row_of_ids(pair) for pair in pairs]
    batch = {}
    for side in ("chosen", "rejected"):
        ids, mask = padded([row[f"{side}_input_ids"] for row in rows], PAD)
        batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"] = ids, mask
        batch[f"{side}_labels"], _ = padded([row[f"{side}_labels"] for row in rows], -100)
    loss: torch.Tensor = trainer().get_batch_loss_metrics(model, batch)[0]
    return loss


def odds_term(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Of `odds_ratio_loss`, whose first result is lambda times the log sigmoid."""
    losses: torch.Tensor = trainer().odds_ratio_loss(chosen, rejected)[0]
    return -losses / WEIGHT


if __name__ == "__main__":
    hand_in(loss_of, odds_term, versions_of("trl"))
