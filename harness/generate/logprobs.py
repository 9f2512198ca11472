"""Log-probs of given answers, without holding a whole batch's logits in float32.

Only scored positions reach the head, and at most `CHUNK_LOGITS` logits exist at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK_LOGITS = 1 << 26
PROBE_TOKENS = 8


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
    plain_head = bool(sequences) and has_plain_head(model, [*sequences[0][0], *sequences[0][1]])
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        scored = scored_states(model, [sequences[i] for i in batch], pad_token_id, plain_head)
        sums[batch] = _sum_scored(scored)
        progress(min(start + batch_size, len(order)), len(order))
    model.train(was_training)
    counts = np.array([len(response) for _, response in sequences])
    n = len(rows)
    return PairLogProbs(sums[:n], sums[n:], counts[:n], counts[n:])


@dataclass(frozen=True)
class Scored:
    """A batch after the forward pass: `head` makes logits of `states` (batch, length, width).

    `labels` (batch, length - 1) holds the token after each position, -100 where none is scored.
    """

    head: Callable[[Any], Any]
    states: Any
    labels: Any
    vocabulary: int


def scored_states(
    model: Any,
    sequences: Sequence[tuple[list[int], list[int]]],
    pad_token_id: int,
    plain_head: bool | None = None,
) -> Scored:
    """One forward pass over (prompt ids, response ids) rows; responses are what is scored."""
    import torch

    if plain_head is None:
        plain_head = has_plain_head(model, [*sequences[0][0], *sequences[0][1]])
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
    ids, attention, labels = ids.to(device), attention.to(device), labels[:, 1:].to(device)
    with torch.no_grad():
        if plain_head:
            head, states = model.get_output_embeddings(), _hidden(model, ids, attention)
        else:
            head, states = _unchanged, _own_logits(model, ids, attention)
    return Scored(head, states, labels, int(model.config.get_text_config().vocab_size))


def _unchanged(rows: Any) -> Any:
    return rows


def _inner(model: Any) -> Any:
    """The transformers model inside a peft wrapper, or the model itself."""
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        return model.get_base_model()
    return model


def _hidden(model: Any, ids: Any, attention: Any) -> Any:
    """Last hidden states: (batch, length, hidden)."""
    inner = _inner(model)
    return inner.base_model(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state


def _own_logits(model: Any, ids: Any, attention: Any) -> Any:
    """Logits: (batch, length, vocabulary).

    The class's own forward: a trainer may have wrapped the object's in autocast, which would
    score in another precision than the hidden states.
    """
    inner = _inner(model)
    return type(inner).forward(inner, input_ids=ids, attention_mask=attention, use_cache=False).logits


def has_plain_head(model: Any, tokens: Sequence[int]) -> bool:
    """Whether logits are the output embeddings of the last hidden states and nothing more.

    Gemma caps them, Cohere and Granite scale them; such models score through their own logits.
    The tolerance is for kernels that differ in the last bit: the two are the same product.
    """
    import torch

    ids = torch.tensor([list(tokens)[:PROBE_TOKENS]], device=next(model.parameters()).device)
    attention = torch.ones_like(ids)
    with torch.no_grad():
        own = _own_logits(model, ids, attention).float()
        plain = model.get_output_embeddings()(_hidden(model, ids, attention)).float()
    return bool(torch.allclose(own, plain, rtol=1e-4, atol=1e-5 * float(own.abs().max())))


def _sum_scored(scored: Scored) -> np.ndarray[Any, Any]:
    """Sums of the responses' log-probs, at most `CHUNK_LOGITS` logits at a time: (batch,)."""
    import torch

    labels, chunk = scored.labels, max(1, CHUNK_LOGITS // scored.vocabulary)
    rows, columns = torch.nonzero(labels != -100, as_tuple=True)
    sums = torch.zeros(labels.shape[0], dtype=torch.float64, device=labels.device)
    with torch.no_grad():
        for start in range(0, len(rows), chunk):
            row, column = rows[start : start + chunk], columns[start : start + chunk]
            logits = scored.head(scored.states[row, column]).float()
            picked = logits.gather(1, labels[row, column][:, None])[:, 0] - logits.logsumexp(dim=1)
            sums.index_add_(0, row, picked.double())
    result: np.ndarray[Any, Any] = sums.cpu().numpy()
    return result
