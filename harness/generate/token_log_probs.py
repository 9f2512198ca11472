"""Log-probs of tokens from hidden states, a chunk of positions at a time, forward and backward.

What is kept for the backward pass are the hidden states and one number a position; logits are made
again there, or kept too where there is room for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Transform:
    """What a model does to its logits: z -> cap * tanh(scale * z / cap); no cap leaves scale * z.

    Gemma 2 caps (arXiv 2408.00118, section 2), Cohere multiplies, Granite divides.
    """

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of_config(cls, config: Any) -> Transform:
        """The transform that a transformers configuration names."""
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        return cls(scale, getattr(config, "final_logit_softcapping", None))

    def apply_(self, logits: torch.Tensor) -> torch.Tensor:
        """Transform in place."""
        if self.scale != 1.0:
            logits.mul_(self.scale)
        if self.cap is not None:
            logits.div_(self.cap).tanh_().mul_(self.cap)
        return logits

    def chain_(self, gradient: torch.Tensor, transformed: torch.Tensor) -> torch.Tensor:
        """Turn the gradient of the transformed logits into that of the plain ones, in place."""
        if self.cap is not None:
            gradient.mul_(1 - (transformed / self.cap) ** 2)
        return gradient.mul_(self.scale) if self.scale != 1.0 else gradient


class _TokenLogProbs(torch.autograd.Function):
    """log softmax(transform(hidden @ weight.T + bias))[target], a chunk of positions at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        chunk: int,
        keeps: bool,
        transform: Transform,
    ) -> torch.Tensor:
        # Autocast does not reach a backward pass, so the products' dtype is settled here for both.
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        log_probs = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        normalizer = torch.empty_like(log_probs)
        with torch.autocast(kind, enabled=False):
            cast, kept = weight.to(dtype), list[torch.Tensor]()
            for rows in _chunks(len(targets), chunk):
                logits = logits_of_states(hidden[rows].to(dtype), cast, bias, transform)
                picked = logits.gather(1, targets[rows, None]).squeeze(1)
                normalizer[rows] = _log_sum_exp_(logits)
                log_probs[rows] = picked - normalizer[rows]
                # What the sum used up are the probabilities but for a factor a row.
                kept += [logits] if keeps else []
        ctx.save_for_backward(hidden, weight, bias, targets, normalizer, *kept)
        ctx.chunk, ctx.transform, ctx.dtype = chunk, transform, dtype
        return log_probs

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        hidden, weight, bias, targets, normalizer, *kept = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        upstream, cast = gradients[0], weight.to(ctx.dtype)
        of_hidden = torch.empty_like(hidden) if wants_hidden else None
        of_weight = None
        of_bias = torch.zeros_like(bias) if bias is not None and wants_bias else None
        for number, rows in enumerate(_chunks(len(targets), ctx.chunk)):
            states, above = hidden[rows].to(ctx.dtype), upstream[rows, None]
            # d log p / d z = onehot - softmax(z).
            if kept:
                logits = kept[number]
                slope = logits * (-above / logits.sum(dim=1, keepdim=True))
            else:
                logits = logits_of_states(states, cast, bias, ctx.transform)
                # Only a cap's derivative needs the logits again.
                slope = logits if ctx.transform.cap is None else logits.clone()
                slope.sub_(normalizer[rows, None]).exp_().mul_(-above)
            slope.scatter_add_(1, targets[rows, None], above)
            slope = ctx.transform.chain_(slope, logits).to(ctx.dtype)
            if of_hidden is not None:
                of_hidden[rows] = (slope @ cast).to(hidden.dtype)
            if wants_weight:
                of_weight = _accumulated(of_weight, slope, states, weight.dtype)
            if of_bias is not None:
                of_bias.add_(slope.sum(dim=0))
        if wants_weight and of_weight is None:
            of_weight = torch.zeros_like(weight)
        return of_hidden, of_weight, of_bias, None, None, None, None


def _log_sum_exp_(logits: torch.Tensor) -> torch.Tensor:
    """log sum exp of each row, (rows,), by the largest taken out first; `logits` are used up."""
    largest = logits.amax(dim=1, keepdim=True)
    return logits.sub_(largest).exp_().sum(dim=1).log_().add_(largest.squeeze(1))


def _accumulated(
    total: torch.Tensor | None, slope: torch.Tensor, states: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """The weight's gradient so far with slope.T @ states, in the weight's own precision."""
    if total is None:
        return (slope.t() @ states).to(dtype)
    if total.dtype == states.dtype:
        return total.addmm_(slope.t(), states)
    return total.add_(slope.t() @ states)


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def logits_of_states(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, transform: Transform
) -> torch.Tensor:
    """float32 logits of some positions: (positions, vocabulary)."""
    bias = None if bias is None else bias.to(weight.dtype)
    return transform.apply_(torch.nn.functional.linear(hidden, weight, bias).float())


def token_log_probs(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    *,
    chunk: int,
    keeps: bool = False,
    transform: Transform,
) -> torch.Tensor:
    """Log-probs of `targets` (positions,) after hidden states (positions, width): float32 (positions,).

    `weight` is (vocabulary, width). The logits of at most `chunk` positions are made at a time; `keeps` holds
    them for the backward pass, which a transform that caps has no use for.
    """
    assert not keeps or transform.cap is None
    result: torch.Tensor = _TokenLogProbs.apply(hidden, weight, bias, targets, chunk, keeps, transform)
    return result
