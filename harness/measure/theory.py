"""FLOPs from formulas, to stand beside the counted ones.

A matrix of n weights costs 2n FLOPs a token forward, 2n for the gradient of its input and 2n for
its own gradient (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention costs
4 * layers * width * length^2 a sequence forward and 8 backward, 10 where FlashAttention recomputes
the scores (Dao 2023, arXiv 2307.08691, section 2.3). The fused head recomputes its logits in the
backward pass: 8 * vocabulary * hidden a scored position, 6 where the head is frozen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.measure.flops import Bucket

Attention = Literal["eager", "flash"]
_FIRST = re.compile(r"(^|\.)(layers|h|blocks)\.0\..*(q_proj|k_proj|v_proj|query_key_value|c_attn|qkv)")

_BLOCK = re.compile(r"(^|\.)(layers|h|blocks)\.\d+\.")


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
        """The shape of a transformers causal LM, with or without peft adapters named default."""
        import torch

        config = model.config.get_text_config()
        head = model.get_output_embeddings()
        body = first = lora = lora_first = 0
        last: dict[str, int] = {}
        for name, module in model.named_modules():
            if not isinstance(module, torch.nn.Linear) or module is head:
                continue
            size = module.in_features * module.out_features
            if "lora_" in name:
                if not name.endswith(".default"):
                    continue
                lora += size
                lora_first += size if "lora_A" in name and _FIRST.search(name) else 0
            else:
                body += size
                block = _BLOCK.search(name)
                if block:
                    last[block[0]] = size
                first += size if _FIRST.search(name) else 0
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
            vocabulary=head.weight.shape[0],
        )


def train_flops(
    shape: ModelShape,
    buckets: Mapping[Bucket, int],
    *,
    checkpointing: bool = False,
    attention: Attention = "flash",
    score_all: bool = False,
) -> float:
    """FLOPs of forward and backward over `buckets`, adapters trained where the shape has any.

    `score_all`: the fused head works on every position, as it does without Triton.
    """
    adapters = shape.lora > 0
    forward = 2 * (shape.body + shape.lora)
    if adapters:
        backward = 2 * shape.body + 4 * shape.lora
        # Checkpointing makes the embeddings require gradients, so then nothing is saved there.
        backward -= 0 if checkpointing else 2 * (shape.first + shape.lora_first)
    else:
        backward = 4 * shape.body
    attention_factor = 4 + (10 if attention == "flash" else 8)
    if checkpointing:
        forward = 2 * forward - (0 if adapters else 2 * shape.last)
        attention_factor += 4
    head = (6 if adapters else 8) * shape.vocabulary * shape.hidden
    return sum(
        times
        * (
            (forward + backward) * b.batch * b.length
            + attention_factor * shape.layers * shape.attention_width * b.batch * b.length**2
            + head * _scored(b, score_all)
        )
        for b, times in buckets.items()
    )


def forward_flops(
    shape: ModelShape,
    buckets: Mapping[Bucket, int],
    *,
    score_all: bool = False,
    adapters: bool = False,
) -> float:
    """FLOPs of a reference or scoring pass: forward alone."""
    weights = shape.body + (shape.lora if adapters else 0)
    return sum(
        times
        * (
            2 * weights * b.batch * b.length
            + 4 * shape.layers * shape.attention_width * b.batch * b.length**2
            + 2 * shape.vocabulary * shape.hidden * _scored(b, score_all)
        )
        for b, times in buckets.items()
    )


def body_flops(shape: ModelShape, buckets: Mapping[Bucket, int], *, passes: int) -> float:
    """FLOPs of the blocks' matrices alone; `passes` is 6 for full training, 4 LoRA, 2 forward."""
    tokens = sum(b.batch * b.length * times for b, times in buckets.items())
    return float(passes * shape.body * tokens)


def _scored(bucket: Bucket, score_all: bool) -> int:
    """The head sees all positions but the last of each sequence, or the scored ones."""
    return bucket.batch * (bucket.length - 1) if score_all else bucket.scored
