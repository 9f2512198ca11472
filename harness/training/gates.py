"""Gated feed-forward layers (SwiGLU, GeGLU) that keep two activations of three for the backward.

Autograd keeps gate, up and act(gate), each (tokens, intermediate size); the third is made again from the
first: selective recomputation (Korthikanti et al. 2022, arXiv 2205.05198, section 5). It is elementwise, so
it adds no FLOP that is counted, and gives the very gradients that autograd would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

PARTS = ("gate_proj", "up_proj", "down_proj", "act_fn")
"""What transformers calls the parts of such a layer, in all families that have one."""
aten = torch.ops.aten


class Activation(NamedTuple):
    """What is done to the gate, and its derivative as autograd calls it: (gradient, gate) to a gradient."""

    forward: Callable[..., torch.Tensor]
    backward: Callable[..., torch.Tensor]


ACTIVATIONS = (
    Activation(aten.silu, aten.silu_backward),
    Activation(partial(aten.gelu, approximate="tanh"), partial(aten.gelu_backward, approximate="tanh")),
)
"""Of SwiGLU and, by the tangent's approximation, of GeGLU."""


class _Gated(torch.autograd.Function):
    """act(gate) * up (Shazeer 2020, arXiv 2002.05202, equation 5)."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor, activation: Activation) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return activation.forward(gate) * up

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        gate, up = ctx.saved_tensors
        (gradient,) = gradients
        back = ctx.activation.backward(gradient * up, gate)
        return back, gradient * ctx.activation.forward(gate), None


def recompute_gates(model: Any) -> int:
    """Let the gated layers of `model` make their third activation again; how many do.

    A layer does if what it computes is, to the bit, what its parts say: others stay as they are.
    """
    return sum(_recomputes(module) for module in model.modules() if _is_gated(module))


def _is_gated(module: Any) -> bool:
    return all(hasattr(module, part) for part in PARTS) and hasattr(module.gate_proj, "in_features")


def _recomputes(layer: Any) -> bool:
    for activation in ACTIVATIONS:
        forward = partial(_forward, layer, activation)
        if _same(layer, forward):
            layer.forward = forward
            return True
    return False


def _forward(layer: Any, activation: Activation, states: torch.Tensor) -> Any:
    return layer.down_proj(_Gated.apply(layer.gate_proj(states), layer.up_proj(states), activation))


def _same(layer: Any, forward: Any) -> bool:
    """Whether both ways give the same on a sample, without the dropout of adapters."""
    weights = next(layer.parameters())
    width = layer.gate_proj.in_features
    sample = torch.linspace(-3, 3, 2 * width, dtype=torch.float32, device=weights.device).view(2, width)
    was_training = layer.training
    layer.eval()
    try:
        with torch.no_grad():
            sample = sample.to(weights.dtype) if weights.is_floating_point() else sample
            return bool(torch.equal(layer(sample), forward(sample)))
    finally:
        layer.train(was_training)
