"""The authors' ORPO: github xfactlab/orpo at 208d2d648068e700cbb1ae0e8320b1dc99b014ec, src/orpo_trainer.py.

Rewritten from it, line by line where it computes: `ORPOTrainer.compute_loss` over what `main.py` hands it.
With AUTHORS naming a checkout of that commit, its own class is asked instead. Theirs rounds the loss to
bfloat16 at the end; that is left out, since it would hide every other difference.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from perf.which_orpo.world import EOS, LENGTH, WEIGHT, Pair, hand_in, padded, versions_of

AUTHORS = "AUTHORS"
Inputs = Mapping[str, torch.Tensor]


def inputs_of(pairs: list[Pair]) -> dict[str, torch.Tensor]:
    """As `main.py` tokenises: all padded to one length on the right, with the token that ends a turn."""
    sides = {
        "": [pair.prompt for pair in pairs],
        "positive_": [pair.prompt + pair.chosen for pair in pairs],
        "negative_": [pair.prompt + pair.rejected for pair in pairs],
    }
    batch = {}
    for side, rows in sides.items():
        batch[f"{side}input_ids"], batch[f"{side}attention_mask"] = padded(rows, EOS, LENGTH)
    return batch


def loss_of(model: Any, pairs: list[Pair]) -> torch.Tensor:
    """`compute_loss`: the NLL by the model itself, over labels without padding, and so without EOS."""
    inputs = inputs_of(pairs)
    means, nll = {}, {}
    for side in ("positive", "negative"):
        ids, attention = inputs[f"{side}_input_ids"], inputs[f"{side}_attention_mask"]
        labels = ids.masked_fill(ids == EOS, -100)
        outputs = model(input_ids=ids, attention_mask=attention, labels=labels)
        nll[side] = outputs.loss
        means[side] = mean_log_probs(inputs["attention_mask"], ids, attention, outputs.logits)
    return torch.mean(nll["positive"] + WEIGHT * odds_term(means["positive"], means["negative"]))


def mean_log_probs(
    prompt_attention: torch.Tensor, ids: torch.Tensor, attention: torch.Tensor, logits: torch.Tensor
) -> torch.Tensor:
    """`compute_logps`: its mask is a position too long wherever a sequence is padded."""
    mask = attention[:, :-1] - prompt_attention[:, 1:]
    log_probs = logits[:, :-1, :].log_softmax(-1)
    picked = torch.gather(log_probs, dim=2, index=(mask * ids[:, 1:]).unsqueeze(2)).squeeze(2)
    return (picked * mask).sum(dim=1).to(torch.float64) / mask.sum(dim=1).to(torch.float64)


def odds_term(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """The log of the sigmoid of the log odds ratio, as it stands there."""
    odds = torch.log1p(-torch.exp(chosen)) - torch.log1p(-torch.exp(rejected))
    return -torch.log(torch.nn.functional.sigmoid((chosen - rejected) - odds))


def loss_of_their_class(checkout: Path) -> Any:
    """`compute_loss` of the file itself, without its reports to wandb and its rounding of the loss."""
    wandb = sys.modules["wandb"] = ModuleType("wandb")
    wandb.__spec__ = ModuleSpec("wandb", None)
    wandb.log = lambda *_: None  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout / "src"))
    from orpo_trainer import ORPOTrainer

    theirs = SimpleNamespace(pad=EOS, alpha=WEIGHT, disable_prompt_loss=False, label_smoother=None)
    theirs.compute_logps = lambda **given: ORPOTrainer.compute_logps(theirs, **given)

    def loss(model: Any, pairs: list[Pair]) -> torch.Tensor:
        whole, bfloat16 = torch.Tensor.to, torch.bfloat16

        def unrounded(tensor: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
            return tensor if named.get("dtype") is bfloat16 else whole(tensor, *given, **named)

        torch.Tensor.to = unrounded  # type: ignore[method-assign]
        try:
            found: torch.Tensor = ORPOTrainer.compute_loss(theirs, model, inputs_of(pairs))
        finally:
            torch.Tensor.to = whole  # type: ignore[method-assign]
        return found

    return loss


if __name__ == "__main__":
    checkout = os.environ.get(AUTHORS)
    loss = loss_of_their_class(Path(checkout)) if checkout else loss_of
    code = {"xfactlab/orpo": "208d2d6" if checkout else "208d2d6 (rewritten)"}
    hand_in(loss, odds_term, {**code, **versions_of()}, torch.float64)
