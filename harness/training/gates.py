"""Gated feed-forward layers (SwiGLU, GeGLU) that keep two activations of three for the backward.

Autograd keeps gate, up and act(gate), each (tokens, intermediate size); the third is made again from the
first: selective recomputation (Korthikanti et al. 2022, arXiv 2205.05198, section 5). It is elementwise, so
it adds no FLOP that is counted, and gives the very gradients that autograd would.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

PARTS = ("gate_proj", "up_proj", "down_proj", "act_fn")
"""What transformers calls the parts of such a layer, in all families that have one."""
aten = torch.ops.aten


class _SwiGLU(torch.autograd.Function):
    """silu(gate) * up (Shazeer 2020, arXiv 2002.05202, equation 5)."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return aten.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        (gradient,) = gradients
        return aten.silu_backward(gradient * up, gate), gradient * aten.silu(gate)


class _GeGLU(torch.autograd.Function):
    """gelu(gate) * up, by the tangent's approximation."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return aten.gelu(gate, approximate="tanh") * up

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        (gradient,) = gradients
        back = aten.gelu_backward(gradient * up, gate, approximate="tanh")
        return back, gradient * aten.gelu(gate, approximate="tanh")


def recompute_gates(model: Any) -> int:
    """Let the gated layers of `model` make their third activation again; how many do.

    A layer does if what it computes is, to the bit, what its parts say: others stay as they are.
    """
    return sum(_recomputes(module) for module in model.modules() if _is_gated(module))


def _is_gated(module: Any) -> bool:
    return all(hasattr(module, part) for part in PARTS) and hasattr(module.gate_proj, "in_features")


def _recomputes(layer: Any) -> bool:
    for gated in (_SwiGLU, _GeGLU):
        forward = partial(_forward, layer, gated)
        if _same(layer, forward):
            layer.forward = forward
            return True
    return False


def _forward(layer: Any, gated: type[torch.autograd.Function], states: torch.Tensor) -> Any:
    return layer.down_proj(gated.apply(layer.gate_proj(states), layer.up_proj(states)))


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
