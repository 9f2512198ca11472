"""Log-probs of given answers, without holding a whole batch's logits in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK = 1024


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
) -> PairLogProbs:
    """Score `pairs` (with `prompt_ids`, `chosen_ids`, `rejected_ids`) under `model`.

    The model's training mode is put back afterwards.
    """
    rows = list(pairs)
    sequences = [(r["prompt_ids"], r[side]) for side in ("chosen_ids", "rejected_ids") for r in rows]
    sums = np.zeros(len(sequences))
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i][0]) - len(sequences[i][1]))
    was_training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        sums[batch] = _score(model, [sequences[i] for i in batch], pad_token_id)
        progress(min(start + batch_size, len(order)), len(order))
    model.train(was_training)
    counts = np.array([len(response) for _, response in sequences])
    n = len(rows)
    return PairLogProbs(sums[:n], sums[n:], counts[:n], counts[n:])


def _score(
    model: Any, sequences: Sequence[tuple[list[int], list[int]]], pad_token_id: int
) -> np.ndarray[Any, Any]:
    """Sums of response log-probs: (len(sequences),)."""
    import torch

    length = max(len(p) + len(r) for p, r in sequences)
    ids = torch.full((len(sequences), length), pad_token_id)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for row, (prompt, response) in enumerate(sequences):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor([*prompt, *response])
        attention[row, :end] = 1
        labels[row, len(prompt) : end] = torch.tensor(response)
    device = next(model.parameters()).device
    with torch.no_grad():
        hidden = _hidden(model, ids.to(device), attention.to(device))
        sums = _sum_scored(model, hidden[:, :-1], labels[:, 1:].to(device))
    result: np.ndarray[Any, Any] = sums.double().cpu().numpy()
    return result


def _hidden(model: Any, ids: Any, attention: Any) -> Any:
    """Last hidden states: (batch, length, hidden)."""
    inner = (
        model.get_base_model()
        if hasattr(model, "peft_config") and hasattr(model, "get_base_model")
        else model
    )
    return inner.base_model(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state


def _sum_scored(model: Any, hidden: Any, labels: Any) -> Any:
    """Log-probs of the scored positions alone, a chunk of positions at a time."""
    import torch

    head = model.get_output_embeddings()
    rows, columns = torch.nonzero(labels != -100, as_tuple=True)
    sums = torch.zeros(labels.shape[0], dtype=torch.float32, device=hidden.device)
    for start in range(0, len(rows), CHUNK):
        row, column = rows[start : start + CHUNK], columns[start : start + CHUNK]
        logits = head(hidden[row, column]).float()
        targets = labels[row, column]
        picked = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=1)
        sums.index_add_(0, row, picked)
    return sums
