"""Weights, gradients and optimizer dealt out over ranks: torch's FSDP2, one group of weights a block.

A forward pass gathers a block's weights and lets go of them again, so that what looks at single weights (a
head, a fingerprint, a save) works on whole ones: before training, within a forward pass through the whole
model, or after training, when rank 0 has all of them again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from harness.generate.head import causal_lm

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
FROM_FIRST = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


def shard(model: Any) -> None:
    """Leave each rank its share of the weights of `model`, in place. Every rank has the same ones before."""
    names = set(getattr(causal_lm(model), "_no_split_modules", None) or ())
    blocks = [module for module in model.modules() if type(module).__name__ in names]
    for block in blocks:
        fully_shard(block, reshard_after_forward=True)
    # After its forward nothing of it stays whole, so that no pass reads weights from before a step.
    fully_shard(model, reshard_after_forward=True)


def is_sharded(model: Any) -> bool:
    """Whether each rank has a share of the weights of `model`."""
    return isinstance(model, FSDPModule)


def own_part(weight: torch.Tensor) -> torch.Tensor:
    """This rank's share of a weight, or all of one that is not sharded."""
    return weight.to_local() if isinstance(weight, DTensor) else weight


class Engine(torch.nn.Module):
    """A sharded model as transformers' loop takes one: wrapped, so that accelerate does not wrap it again."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


def whole_weights(model: Any) -> dict[str, torch.Tensor]:
    """All weights, on rank 0's host and nowhere else; all ranks have to ask."""
    weights: dict[str, torch.Tensor] = get_model_state_dict(model, options=WHOLE)
    return weights


def whole_optimizer(model: Any, optimizer: Any) -> dict[str, Any]:
    """The optimizer's state of all weights, on rank 0's host; all ranks have to ask."""
    state: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=WHOLE)
    return state


def deal_out_weights(model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Give each rank its share of the weights that rank 0 has; those of the others are empty."""
    # Of tied weights a file has one.
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
    set_model_state_dict(model, weights, options=options)


def deal_out_optimizer(model: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Give each rank its share of what rank 0 has; the others' `state` is empty."""
    set_optimizer_state_dict(model, optimizer, state, options=FROM_FIRST)
