"""From tokenised pairs to the batches of the matched trainer: the same for every method."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow.parquet
import torch

from harness.generate.batch import Ids, pad, positions_of
from harness.generate.flat import lay_flat
from harness.measure.flops import Bucket
from harness.records import LayoutFacts
from harness.training.inputs import (
    flat_inputs,
    padded_inputs,
    sequences_of,
    synthetic_inputs,
)
from harness.training.shape import Shape, Side

PADDED = LayoutFacts(flat=False, shared_prompt=False)


class Row(TypedDict):
    """One tokenised pair; `index` is its place in the data, `rejected_ids` None in SFT data."""

    index: int
    id: str
    prompt_ids: Ids
    chosen_ids: Ids
    rejected_ids: Ids | None


def length_of(row: Row) -> int:
    """Tokens of the longest sequence of a pair."""
    rejected = row["rejected_ids"]
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), 0 if rejected is None else len(rejected))


def tokens_of(row: Row, *, both: bool, once: bool) -> int:
    """Tokens of a pair without padding: of its chosen sequence, or of `both`, the prompt `once` or twice."""
    chosen, rejected = len(row["prompt_ids"]) + len(row["chosen_ids"]), row["rejected_ids"]
    if not both or rejected is None:
        return chosen
    return chosen + len(rejected) + (0 if once else len(row["prompt_ids"]))


class Rows(torch.utils.data.Dataset[Row]):
    """All pairs of a split, in memory as slices of the file's own arrays."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]

    def first(self, count: int) -> Rows:
        """The first `count` pairs."""
        return Rows(self._rows[:count])


def shortest(data: Rows, rows: Sequence[int] | None) -> Row:
    """The pair that costs least, of the rows that the stage reads."""
    return min((data[i] for i in (range(len(data)) if rows is None else rows)), key=length_of)


def read_rows(path: Path) -> Rows:
    """Pairs as the prepare stage wrote them."""
    present = pyarrow.parquet.read_schema(path).names
    answers = [name for name in ("chosen_ids", "rejected_ids") if name in present]
    table = pyarrow.parquet.read_table(path, columns=["id", "prompt_ids", *answers])
    ids = table.column("id").to_pylist()
    columns = {name: _arrays(table.column(name)) for name in ("prompt_ids", *answers)}
    return Rows(
        [
            Row(
                index=i,
                id=ids[i],
                prompt_ids=columns["prompt_ids"][i],
                chosen_ids=columns["chosen_ids"][i],
                rejected_ids=_rejected(columns, i),
            )
            for i in range(len(ids))
        ]
    )


def _rejected(columns: dict[str, list[np.ndarray[Any, Any]]], index: int) -> Ids | None:
    """SFT data of an arm's own have no rejected answers, or empty ones."""
    rejected = columns.get("rejected_ids")
    return rejected[index] if rejected is not None and len(rejected[index]) else None


def _arrays(column: Any) -> list[np.ndarray[Any, Any]]:
    """One array a row, without copying the values."""
    arrays: list[np.ndarray[Any, Any]] = []
    for chunk in column.chunks:
        offsets, values = chunk.offsets.to_numpy(), chunk.values.to_numpy()
        arrays += [values[start:end] for start, end in itertools.pairwise(offsets)]
    return arrays


@dataclass(frozen=True)
class Collator:
    """Rows to a batch: chosen sequences first, then (of `pairs`) rejected ones, padded on the right.

    A batch holds `response` and `nll` (sequences, length - 1), `places` (flat, those of them that speak of a
    scored token), its `shape`, and the rows' `indices`. What a model reads is `input_ids`,
    `attention_mask` and `positions` (flat, those that predict a scored token); or, where `layout` is flat,
    what `FlatRow` and `targets` say. No rows make a batch of `stand_in` that is `void`.
    """

    pad_token_id: int
    pairs: bool
    nll_scope: str | None
    layout: LayoutFacts = PADDED
    stand_in: Row | None = None

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        if not rows:
            assert self.stand_in is not None, "a batch without rows, and nothing to stand in for them"
            return {**self([self.stand_in]), "void": True}
        sequences = [(row["prompt_ids"], row["chosen_ids"]) for row in rows]
        if self.pairs:
            sequences += [(row["prompt_ids"], _rejected_of(row)) for row in rows]
        shared = self.layout.shared_prompt and self.pairs
        flat = lay_flat(sequences, self.pad_token_id, shared=shared) if self.layout.flat else None
        padded = pad(sequences, self.pad_token_id, least=flat.row.length if flat else 0)
        nll = padded.response.clone()
        nll[len(rows) :] = False
        if self.nll_scope == "prompt+response":
            nll[: len(rows)] = padded.real[: len(rows)]
        places = positions_of(padded.response | nll)
        size, length = padded.ids.shape
        return {
            **(padded_inputs(padded, places) if flat is None else flat_inputs(flat, padded, places)),
            "places": places,
            "response": padded.response,
            "nll": nll,
            "indices": [row["index"] for row in rows],
            "shape": Shape(
                bucket=Bucket(size, length, len(places), None if flat is None else flat.ids.numel()),
                pairs=len(rows),
                tokens_real=int(padded.attention.sum()),
                nll_tokens=int(nll.sum()),
            ),
        }

    def sides(self, batch: dict[str, Any]) -> list[Side]:
        """Chosen and rejected sequences of a batch; scored are the NLL's tokens of the chosen ones,
        or the response's where the loss holds no NLL."""
        pairs = batch["shape"].pairs
        scored = batch["response"].clone()
        if self.nll_scope is not None:
            scored[:pairs] = batch["nll"][:pairs]
        scored = torch.nn.functional.pad(scored, (1, 0))
        parts = (*sequences_of(batch), scored)
        sides = [slice(0, pairs), *([slice(pairs, None)] if self.pairs else [])]
        return [Side(*(part[side] for part in parts)) for side in sides]

    def synthetic_batch(self, bucket: Bucket, vocabulary: int) -> dict[str, Any]:
        """A batch of random tokens with the bucket's shape and number of scored positions."""
        response = torch.zeros((bucket.batch, bucket.length - 1), dtype=torch.bool)
        places = list(itertools.product(range(bucket.length - 2, -1, -1), range(bucket.batch)))
        for column, row in places[: bucket.scored]:
            response[row, column] = True
        pairs = max(1, bucket.batch // 2) if self.pairs else bucket.batch
        nll = response.clone()
        nll[pairs:] = False
        scored = positions_of(response)
        return {
            **synthetic_inputs(bucket, scored, vocabulary),
            "places": scored,
            "response": response,
            "nll": nll,
            "indices": [],
            "shape": Shape(bucket, pairs, bucket.tokens, max(1, int(nll.sum()))),
        }


def _rejected_of(row: Row) -> Ids:
    assert row["rejected_ids"] is not None, f"pair {row['id']} has no rejected answer"
    return row["rejected_ids"]
