"""LLaMA-Factory's ORPO: `pref_loss: orpo` of its `CustomDPOTrainer`, made without its constructor."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from perf.which_orpo.world import PAD, WEIGHT, Pair, hand_in, padded, versions_of


def trainer() -> Any:
    """What a loss reads of a trainer. Sound, which the package imports unasked, is not there."""
    silence = sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    silence.__spec__ = ModuleSpec("torchaudio", None)
    from llamafactory.train.dpo.trainer import CustomDPOTrainer

    made = CustomDPOTrainer.__new__(CustomDPOTrainer)
    made.finetuning_args = SimpleNamespace(use_ref_model=False)
    made.loss_type, made.beta, made.ftx_gamma, made.ld_alpha, made.ref_model = "orpo", WEIGHT, 0.0, None, None
    made.accelerator = SimpleNamespace(device=torch.device("cpu"))
    return made


def loss_of(model: Any, pairs: list[Pair]) -> torch.Tensor:
    """`get_batch_loss_metrics`: chosen sequences above rejected ones."""
    rows = [(pair.prompt, getattr(pair, side)) for side in ("chosen", "rejected") for pair in pairs]
    ids, mask = padded([prompt + answer for prompt, answer in rows], PAD)
    labels, _ = padded([[-100] * len(prompt) + answer for prompt, answer in rows], -100)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    loss: torch.Tensor = trainer().get_batch_loss_metrics(model, batch)[0]
    return loss


def odds_term(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Of `odds_ratio_loss`, which adds the chosen answer's NLL."""
    whole: torch.Tensor = trainer().odds_ratio_loss(chosen, rejected)
    return (whole + chosen) / WEIGHT


if __name__ == "__main__":
    hand_in(loss_of, odds_term, versions_of("llamafactory", "trl"))
