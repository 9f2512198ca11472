"""A micro-batch in numbers, and its sequences; and a whole run's."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from harness.measure.flops import Bucket
from harness.records import BatchFacts


@dataclass(frozen=True)
class Side:
    """Chosen or rejected sequences of a batch, (sequences, length) each: token ids, which are no
    padding, and which are scored; None where none is, but the sequence as a whole."""

    ids: torch.Tensor
    real: torch.Tensor
    scored: torch.Tensor | None


@dataclass(frozen=True)
class Shape:
    """A micro-batch in numbers: its bucket, pairs, real tokens, and tokens that the NLL counts."""

    bucket: Bucket
    pairs: int
    tokens_real: int
    nll_tokens: int


@dataclass
class Walk:
    """Micro-batches of a whole run in order, and facts of what the first epoch holds.

    `buckets[i]` is the shape of micro-batch i; `steps[s]` how many of them optimizer step s has.
    """

    buckets: list[Bucket] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    pairs: int = 0
    tokens_real: int = 0
    facts: BatchFacts = field(default_factory=BatchFacts)

    @property
    def tokens_padded(self) -> int:
        """Tokens that are computed, padding included, over the whole run."""
        return sum(b.tokens for b in self.buckets)
