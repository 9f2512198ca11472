"""Sequences of prompt and response as one padded batch, and which of their tokens are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

Ids = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Padded:
    """`ids` and `attention` are (sequences, length), padded on the right. `response` and `real` are
    (sequences, length - 1): entry t speaks of token t + 1, and marks the response's or any token."""

    ids: torch.Tensor
    attention: torch.Tensor
    response: torch.Tensor
    real: torch.Tensor


def pad(sequences: Sequence[tuple[Ids, Ids]], pad_token_id: int, *, least: int = 0) -> Padded:
    """(prompt ids, response ids) rows as tensors on the CPU, at `least` so long."""
    length = max(least, *(len(prompt) + len(response) for prompt, response in sequences))
    ids = np.full((len(sequences), length), pad_token_id, dtype=np.int64)
    starts = np.array([len(prompt) for prompt, _ in sequences])[:, None]
    ends = np.array([len(prompt) + len(response) for prompt, response in sequences])[:, None]
    for row, (prompt, response) in enumerate(sequences):
        ids[row, : len(prompt)] = prompt
        ids[row, len(prompt) : len(prompt) + len(response)] = response
    places = np.arange(length)[None]
    attention = places < ends
    response_mask = attention & (places >= starts)
    return Padded(
        ids=torch.from_numpy(ids),
        attention=torch.from_numpy(attention.astype(np.int64)),
        response=torch.from_numpy(response_mask[:, 1:]),
        real=torch.from_numpy(attention[:, 1:]),
    )


def positions_of(scored: torch.Tensor) -> torch.Tensor:
    """Flat positions in (sequences * length) that predict the tokens marked in `scored`
    (sequences, length - 1), row by row."""
    rows, columns = torch.nonzero(scored, as_tuple=True)
    return rows * (scored.shape[1] + 1) + columns
