"""Liger's ORPO: its fused loss as its `LigerORPOTrainer` calls it, or with the loss's own defaults."""

from __future__ import annotations

import os
from typing import Any

import torch
from liger_kernel.chunked_loss import LigerFusedLinearORPOLoss
from liger_kernel.chunked_loss.orpo_loss import LigerFusedLinearORPOFunction

from perf.which_orpo.world import PAD, WEIGHT, Pair, hand_in, padded, versions_of

OWN_DEFAULTS = "OWN_DEFAULTS"


def loss_of(model: Any, pairs: list[Pair]) -> torch.Tensor:
    """Chosen sequences above rejected ones; the trainer names the NLL's targets, prompt and response."""
    chosen, rejected = ([pair.prompt + answer for pair, answer in answers(pairs, side)] for side in SIDES)
    ids, mask = padded(chosen + rejected, PAD)
    masked = [[-100] * len(pair.prompt) + answer for side in SIDES for pair, answer in answers(pairs, side)]
    labels, _ = padded(masked, -100)
    whole = torch.where(mask == 1, ids, -100)
    states = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    loss = LigerFusedLinearORPOLoss(beta=WEIGHT, compiled=False)
    nll_target = None if os.environ.get(OWN_DEFAULTS) else whole[:, 1:]
    found: torch.Tensor = loss(model.lm_head.weight, states, labels[:, 1:], nll_target=nll_target)[0]
    return found


SIDES = ("chosen", "rejected")


def answers(pairs: list[Pair], side: str) -> list[tuple[Pair, list[int]]]:
    """Every pair with one of its answers."""
    return [(pair, getattr(pair, side)) for pair in pairs]


def odds_term(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Of `preference_loss_fn`, which divides by half the rows of the targets."""
    targets = torch.zeros(2 * len(chosen), 1)
    found: torch.Tensor = LigerFusedLinearORPOFunction.preference_loss_fn(
        chosen, rejected, targets, beta=1.0
    )[0]
    return found


if __name__ == "__main__":
    hand_in(loss_of, odds_term, versions_of("liger-kernel"))
