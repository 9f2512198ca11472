"""A micro-batch in numbers, and its sequences."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.measure.flops import Bucket


@dataclass(frozen=True)
class Side:
    """Chosen or rejected sequences of a batch, (sequences, length) each: token ids, which are no
    padding, and which are scored."""

    ids: torch.Tensor
    real: torch.Tensor
    scored: torch.Tensor


@dataclass(frozen=True)
class Shape:
    """A micro-batch in numbers: its bucket, pairs, real tokens, and tokens that the NLL counts."""

    bucket: Bucket
    pairs: int
    tokens_real: int
    nll_tokens: int
