"""What a model reads of a batch, padded or in one row; and what it gives, as sequences again."""

from __future__ import annotations

from typing import Any

import torch

from harness.generate.batch import Padded
from harness.generate.flat import Flat, FlatRow
from harness.measure.flops import Bucket
from harness.methods import PairLogProbs, SideLogProbs


def padded_inputs(padded: Padded, places: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sequences one below the other."""
    return {"input_ids": padded.ids, "attention_mask": padded.attention, "positions": places}


def flat_inputs(flat: Flat, padded: Padded, places: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sequences in one row. One state may predict two tokens, so that targets are named."""
    return {
        "input_ids": flat.ids,
        "positions": flat.row.token_at[places],
        "targets": padded.ids.reshape(-1)[places + 1],
        **flat.row.tensors(),
    }


def synthetic_inputs(bucket: Bucket, places: torch.Tensor, vocabulary: int) -> dict[str, torch.Tensor]:
    """Random tokens of a bucket's shape; where those of a row stand costs nothing, so they stand anywhere."""
    generator = torch.Generator().manual_seed(0)
    if bucket.row is None:
        ids = torch.randint(0, vocabulary, (bucket.batch, bucket.length), generator=generator)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "positions": places}
    tokens, in_attention = torch.arange(bucket.row), torch.arange(bucket.batch * bucket.length)
    row = FlatRow(
        sequences=bucket.batch,
        length=bucket.length,
        position_ids=(tokens % bucket.length)[None],
        token_at=in_attention % bucket.row,
        owner=in_attention % bucket.row,
        first=tokens % len(in_attention),
        second=tokens[:0],
    )
    return {
        "input_ids": torch.randint(0, vocabulary, (1, bucket.row), generator=generator),
        "positions": places % bucket.row,
        "targets": torch.randint(0, vocabulary, (len(places),), generator=generator),
        **row.tensors(),
    }


def row_of(batch: dict[str, Any]) -> FlatRow | None:
    """Where the tokens of a flat batch stand; None for a padded one."""
    if "token_at" not in batch:
        return None
    sequences, width = batch["response"].shape
    return FlatRow.of_tensors(batch, sequences, width + 1)


def model_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a model with a head: log-probs at a batch's scored places, in their order."""
    inputs: dict[str, Any] = {
        name: batch[name] for name in ("input_ids", "positions", "targets") if name in batch
    }
    row = row_of(batch)
    return inputs if row is None else {**inputs, "flat_row": row}


def sequences_of(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a batch's sequences, and which are no padding: (sequences, length) each."""
    row = row_of(batch)
    if row is None:
        return batch["input_ids"], batch["attention_mask"] == 1
    shape, padding = (row.sequences, row.length), batch["input_ids"].shape[1] - 1
    ids = batch["input_ids"][0].index_select(0, row.token_at)
    return ids.view(shape), (row.token_at != padding).view(shape)


def sides_of(inputs: dict[str, Any], log_probs: torch.Tensor, reference: torch.Tensor | None) -> PairLogProbs:
    """Log-probs at scored places, laid out as (pairs, length - 1) of each side."""
    pairs = inputs["shape"].pairs
    dense = _laid_out(inputs, log_probs)
    known = None if reference is None else _laid_out(inputs, reference)
    sides = [
        SideLogProbs(
            log_probs=dense[rows],
            response=inputs["response"][rows],
            nll=inputs["nll"][rows],
            reference=None if known is None else known[rows],
        )
        for rows in (slice(0, pairs), slice(pairs, None))
    ]
    return PairLogProbs(sides[0], sides[1] if len(sides[1].response) else None)


def _laid_out(inputs: dict[str, Any], values: torch.Tensor) -> torch.Tensor:
    """(positions,) as (sequences, length - 1), zero where nothing is scored."""
    size, width = inputs["response"].shape
    dense = values.new_zeros(size * (width + 1)).index_copy(0, inputs["places"], values)
    return dense.view(size, width + 1)[:, :-1]
