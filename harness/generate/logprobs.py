"""Log-probs of given answers under a model, for scoring and for probes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.generate.batch import Ids, pad, positions_of
from harness.generate.head import Head, causal_lm, checked_head, log_probs_at

Through = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From token ids (batch, length) and flat positions to log-probs at them."""


@dataclass(frozen=True)
class PairLogProbs:
    """Sums of log-probs and numbers of response tokens: arrays of shape (num_pairs,)."""

    chosen_sum: np.ndarray[Any, Any]
    rejected_sum: np.ndarray[Any, Any]
    chosen_tokens: np.ndarray[Any, Any]
    rejected_tokens: np.ndarray[Any, Any]

    @property
    def chosen_mean(self) -> np.ndarray[Any, Any]:
        """Mean log-prob per response token of the chosen answers."""
        means: np.ndarray[Any, Any] = self.chosen_sum / np.maximum(self.chosen_tokens, 1)
        return means

    @property
    def rejected_mean(self) -> np.ndarray[Any, Any]:
        """Mean log-prob per response token of the rejected answers."""
        means: np.ndarray[Any, Any] = self.rejected_sum / np.maximum(self.rejected_tokens, 1)
        return means


def pair_log_probs(
    model: Any,
    pairs: Iterable[Any],
    pad_token_id: int,
    batch_size: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    head: Head | None = None,
    through: Through | None = None,
) -> PairLogProbs:
    """Score `pairs` (with `prompt_ids`, `chosen_ids`, `rejected_ids`) under `model`.

    `head` is the model's, where it has been checked already. Log-probs come `through` the model's own
    forward, to which a head was attached, where no weight may be read outside of it. The model's training
    mode is put back afterwards.
    """
    rows = list(pairs)
    sequences = [(r["prompt_ids"], r[side]) for side in ("chosen_ids", "rejected_ids") for r in rows]
    counts = np.array([len(response) for _, response in sequences])
    sums = np.zeros(len(sequences))
    if sequences:
        head = head or checked_head(model, sample_of(sequences))
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i][0]) - len(sequences[i][1]))
    with _evaluating(model):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            assert head is not None
            scorer = through or functools.partial(log_probs_at, causal_lm(model), head)
            sums[batch] = _sums(model, scorer, [sequences[i] for i in batch], pad_token_id)
            progress(min(start + batch_size, len(order)), len(order))
    n = len(rows)
    return PairLogProbs(sums[:n], sums[n:], counts[:n], counts[n:])


def sample_of(sequences: Sequence[tuple[Ids, Ids]]) -> torch.Tensor:
    """The first sequence, to check a head on: (1, length)."""
    return torch.tensor([[*map(int, sequences[0][0]), *map(int, sequences[0][1])]])


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _sums(
    model: Any, scorer: Through, sequences: Sequence[tuple[Ids, Ids]], pad_token_id: int
) -> np.ndarray[Any, Any]:
    """Log-probs of the responses: (sequences,)."""
    batch = pad(sequences, pad_token_id)
    device = next(model.parameters()).device
    positions = positions_of(batch.response)
    values = scorer(batch.ids.to(device), positions.to(device))
    sums = torch.zeros(len(sequences), dtype=torch.float64)
    sums.index_add_(0, positions // batch.ids.shape[1], values.double().cpu())
    result: np.ndarray[Any, Any] = sums.numpy()
    return result
