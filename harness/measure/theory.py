"""FLOPs from formulas, to stand beside the counted ones; for dense transformers.

A matrix of n weights costs 2n FLOPs a token forward, 2n for the gradient of its input and 2n for
its own gradient (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention costs
4 * layers * width * length^2 a sequence forward and 8 backward, 10 where FlashAttention recomputes
the scores (Dao 2023, arXiv 2307.08691, algorithm 2). The fused head recomputes its logits in the
backward pass: 8 * vocabulary * hidden a scored position; 6 with plain logits. A frozen head has no
gradient of its own: 2 less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.measure.flops import Bucket

Attention = Literal["eager", "flash"]
_BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.\d+\.")
_QUERIES_KEYS_VALUES = "q_proj|k_proj|v_proj|qkv_proj|query_key_value|c_attn|qkv|Wqkv"
_ENTERS_MLP = "dense_h_to_4h|fc1|fc_in|gate_proj|up_proj"


@dataclass(frozen=True)
class HeadCost:
    """How a head makes log-probs. `recomputes`: it makes its logits again in the backward pass.
    `positions`: it works at scored positions, at all that predict a token, or simply at all."""

    recomputes: bool = True
    positions: Literal["scored", "next", "all"] = "scored"


CHUNKED = HeadCost()
FULL_LOGITS = HeadCost(recomputes=False, positions="all")


@dataclass(frozen=True)
class ModelShape:
    """What decides a model's FLOPs, in numbers of weights.

    `body`: matrices of all blocks; `first`: those that see the embeddings directly and so need no
    gradient of their input when the embeddings are frozen; `lora`, `lora_first`: the same for
    adapters (`lora_first` counts the A matrices alone). `last`: each block's final matrix, which
    recomputing a block stops short of, since nothing of its output is needed.
    """

    body: int
    first: int
    lora: int
    lora_first: int
    last: int
    layers: int
    attention_width: int
    hidden: int
    vocabulary: int

    @classmethod
    def of_model(cls, model: Any) -> ModelShape:
        """The shape of a transformers causal LM, with or without peft adapters named default.

        Only sizes are read: a model on the meta device will do.
        """
        config = model.config.get_text_config()
        output = model.get_output_embeddings()
        head = set(output.modules())
        enters = _QUERIES_KEYS_VALUES
        if getattr(config, "use_parallel_residual", False):
            enters += f"|{_ENTERS_MLP}"
        sees_embeddings = re.compile(rf"(^|\.)(layers|h|blocks)\.0\..*\b({enters})\b")
        body = first = lora = lora_first = 0
        last: dict[str, int] = {}
        for name, module in model.named_modules():
            size = _matrix_size(module)
            if size is None or module in head:
                continue
            enters_first = sees_embeddings.search(name) is not None
            if "lora_" in name:
                if name.endswith(".default"):
                    lora += size
                    lora_first += size if "lora_A" in name and enters_first else 0
                continue
            body += size
            first += size if enters_first else 0
            if block := _BLOCK.search(name):
                last[block[0]] = size
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            body=body,
            first=first,
            lora=lora,
            lora_first=lora_first,
            last=sum(last.values()),
            layers=config.num_hidden_layers,
            attention_width=heads * width,
            hidden=config.hidden_size,
            vocabulary=output.weight.shape[0],
        )


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
    scores = 4 + (10 if attention == "flash" else 8) + 4 * checkpointing
    passes = (8 if head.recomputes else 6) - (2 if adapters else 0)
    return _over(
        buckets,
        token=forward + backward + recomputed,
        attention=scores * shape.layers * shape.attention_width,
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
        attention=12.0 * shape.layers * shape.attention_width,
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
        attention=4.0 * shape.layers * shape.attention_width,
        position=2.0 * shape.vocabulary * shape.hidden,
        scored=head.positions,
    )


def body_flops(shape: ModelShape, buckets: Mapping[Bucket, int], *, passes: int) -> float:
    """FLOPs of the blocks' matrices alone; `passes` is 6 for full training, 4 LoRA, 2 forward."""
    tokens = sum(b.batch * b.length * times for b, times in buckets.items())
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
        positions = {"scored": b.scored, "next": b.batch * (b.length - 1), "all": b.batch * b.length}[scored]
        total += times * (
            token * b.batch * b.length + attention * b.batch * b.length**2 + position * positions
        )
    return total


def _matrix_size(module: Any) -> int | None:
    """Weights of a linear map, or None for any other module."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear):
        return int(module.in_features * module.out_features)
    return int(module.weight.numel()) if isinstance(module, Conv1D) else None
