"""How far a policy has moved from its base model: KL(policy || base) along sampled answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.generate.logprobs import CHUNK_LOGITS, Scored, scored_states


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
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = [sequences[i] for i in rows]
        found = _sums(scored_states(policy, batch, pad_token_id), scored_states(base, batch, pad_token_id))
        for i, value in zip(rows, found, strict=True):
            sums[i] = value
        progress(min(start + batch_size, len(order)), len(order))
    return sums


def _sums(policy: Scored, base: Scored) -> list[float]:
    import torch

    rows, columns = torch.nonzero(policy.labels != -100, as_tuple=True)
    sums = torch.zeros(policy.labels.shape[0], dtype=torch.float64, device=policy.labels.device)
    chunk = max(1, CHUNK_LOGITS // (2 * policy.vocabulary))
    with torch.no_grad():
        for start in range(0, len(rows), chunk):
            row, column = rows[start : start + chunk], columns[start : start + chunk]
            ours, theirs = (
                torch.log_softmax(side.head(side.states[row, column]).float(), dim=1)
                for side in (policy, base)
            )
            sums.index_add_(0, row, (ours.exp() * (ours - theirs)).sum(dim=1).double())
    return [float(value) for value in sums]
