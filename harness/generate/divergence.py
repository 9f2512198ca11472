"""How far a policy has moved from its base model: KL(policy || base) along sampled answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.generate.batch import pad, positions_of
from harness.generate.head import Head, causal_lm, checked_head, chunk_positions, logits_of, states_at
from harness.generate.logprobs import sample_of


def divergence(
    policy: Any,
    base: Any,
    sequences: Sequence[tuple[list[int], list[int]]],
    pad_token_id: int,
    batch_size: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Sum over an answer's positions of KL(policy || base) of the next token, in nats.

    `sequences` are (prompt ids, answer ids) with answers drawn from the policy at temperature 1: the
    mean of these sums then estimates the KL divergence between the two models' answers, is never
    negative, and varies less than the mean of log-ratios (Amini, Vieira, Cotterell 2025, arXiv
    2504.10637, the Rao-Blackwellised estimator).
    """
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i][0]) - len(sequences[i][1]))
    sums = [0.0] * len(sequences)
    heads = [checked_head(model, sample_of(sequences)) for model in (policy, base)] if sequences else []
    models = [(causal_lm(model), head) for model, head in zip((policy, base), heads, strict=False)]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        with torch.no_grad():
            row_sums = _sums(models, [sequences[i] for i in rows], pad_token_id)
        for i, value in zip(rows, row_sums, strict=True):
            sums[i] = value
        progress(min(start + batch_size, len(order)), len(order))
    return sums


def _sums(
    models: Sequence[tuple[Any, Head]], sequences: Sequence[tuple[list[int], list[int]]], pad_token_id: int
) -> list[float]:
    """The sum of each sequence, two models' logits of a chunk of positions at a time."""
    batch = pad(sequences, pad_token_id)
    device = next(models[0][0].parameters()).device
    ids = batch.ids.to(device)
    positions = positions_of(batch.response).to(device)
    states = [states_at(model, head, ids, positions) for model, head in models]
    sums = torch.zeros(len(sequences), dtype=torch.float64, device=device)
    vocabulary = models[0][0].get_output_embeddings().weight.shape[0]
    chunk = max(1, chunk_positions(vocabulary, device) // 2)
    for start in range(0, len(positions), chunk):
        rows = slice(start, start + chunk)
        ours, theirs = (
            logits_of(model, head, hidden[rows]).log_softmax(dim=1)
            for (model, head), hidden in zip(models, states, strict=True)
        )
        divergences = (ours.exp() * (ours - theirs)).sum(dim=1)
        sums.index_add_(0, positions[rows] // ids.shape[1], divergences.double())
    return [float(value) for value in sums]
