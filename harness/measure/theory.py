"""FLOPs from formulas, to stand beside the counted ones; for transformers, dense or with experts.

A matrix of n weights costs 2n FLOPs a token forward, 2n for the gradient of its input and 2n for
its own gradient (Kaplan et al. 2020, arXiv 2001.08361, section 2.1); of a layer's experts those count that
a token is sent to. Attention costs 4 * layers * width * length^2 a sequence forward and 8 backward, 10 where
FlashAttention recomputes the scores (Dao 2023, arXiv 2307.08691, algorithm 2); all scores count, causal or
within a window, since a mask leaves the products whole. The fused head recomputes its logits in the
backward pass: 8 * vocabulary * hidden a scored position; 6 with plain logits. A frozen head has no
gradient of its own: 2 less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.measure.flops import Bucket
from harness.measure.model_shape import ModelShape

Attention = Literal["eager", "flash"]


@dataclass(frozen=True)
class HeadCost:
    """How a head makes log-probs. `recomputes`: it makes its logits again in the backward pass.
    `positions`: it works at scored positions, at all that predict a token, or simply at all."""

    recomputes: bool = True
    positions: Literal["scored", "next", "all"] = "scored"


CHUNKED = HeadCost()
KEPT = HeadCost(recomputes=False)
FULL_LOGITS = HeadCost(recomputes=False, positions="all")


def train_flops(
    shape: ModelShape,
    buckets: Mapping[Bucket, int],
    *,
    checkpointing: float = 0.0,
    attention: Attention = "flash",
    head: HeadCost = CHUNKED,
) -> float:
    """FLOPs of forward and backward over `buckets`, adapters trained where the shape has any.

    `checkpointing`: share of the blocks that are recomputed, 0 to 1.
    """
    adapters = shape.lora > 0
    forward = 2.0 * (shape.body + shape.lora)
    if adapters:
        backward = 2.0 * shape.body + 4 * shape.lora
        # Checkpointing makes the embeddings require gradients, so then nothing is saved there.
        backward -= 0 if checkpointing else 2 * (shape.first + shape.lora_first)
    else:
        backward = 4.0 * shape.body
    recomputed = checkpointing * (forward - (0 if adapters else 2 * shape.last))
    scores = (6.0 + 2 * checkpointing) * (shape.scores + shape.values)
    scores += 2 * shape.scores if attention == "flash" else 0
    passes = (8 if head.recomputes else 6) - (2 if adapters else 0)
    return _over(
        buckets,
        token=forward + backward + recomputed,
        attention=scores,
        position=float(passes * shape.vocabulary * shape.hidden),
        scored=head.positions,
    )


def useful_flops(shape: ModelShape, buckets: Mapping[Bucket, int]) -> float:
    """FLOPs that training needs, without any recomputation: the numerator of MFU.

    Scores recomputed by FlashAttention, logits by the fused head and blocks by checkpointing are
    left out, and the head counts at scored positions alone.
    """
    adapters = shape.lora > 0
    token = 2.0 * (shape.body + shape.lora)
    token += 2.0 * shape.body + 4 * shape.lora if adapters else 4.0 * shape.body
    return _over(
        buckets,
        token=token,
        attention=6.0 * (shape.scores + shape.values),
        position=(4.0 if adapters else 6.0) * shape.vocabulary * shape.hidden,
        scored="scored",
    )


def forward_flops(
    shape: ModelShape,
    buckets: Mapping[Bucket, int],
    *,
    adapters: bool = False,
    head: HeadCost = CHUNKED,
) -> float:
    """FLOPs of a reference or scoring pass: forward alone, through `adapters` or without them."""
    return _over(
        buckets,
        token=2.0 * (shape.body + (shape.lora if adapters else 0)),
        attention=2.0 * (shape.scores + shape.values),
        position=2.0 * shape.vocabulary * shape.hidden,
        scored=head.positions,
    )


def body_flops(shape: ModelShape, buckets: Mapping[Bucket, int], *, passes: int) -> float:
    """FLOPs of the blocks' matrices alone; `passes` is 6 for full training, 4 LoRA, 2 forward."""
    tokens = sum(b.tokens * times for b, times in buckets.items())
    return float(passes * shape.body * tokens)


def _over(
    buckets: Mapping[Bucket, int],
    *,
    token: float,
    attention: float,
    position: float,
    scored: Literal["scored", "next", "all"],
) -> float:
    """Sum over buckets of the costs of a token, of a squared length and of a scored position."""
    total = 0.0
    for b, times in buckets.items():
        positions = {"scored": b.scored, "next": b.batch * (b.length - 1), "all": b.tokens}[scored]
        total += times * (token * b.tokens + attention * b.batch * b.length**2 + position * positions)
    return total
