"""Sequences without padding: all tokens of a batch in one row, and where each stands inside attention.

Everything but attention works token by token, so there a row of all tokens costs what its tokens cost. A
prompt that two answers share stands in it once. Attention alone sees sequences, padded to the longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.generate.batch import Ids

TENSORS = ("position_ids", "token_at", "owner", "first", "second")
Index = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class FlatRow:
    """Where the tokens of a row stand among the places (sequences * length) of its attention.

    The row's last token is a padding one, which stands for all padding: no other token ever looks at it, so
    it has no gradient, and neither has what is looked up in its place. `position_ids` are (1, tokens);
    `token_at` (places,) is the token that a place holds, `owner` (places,) the one that takes its output
    (the last, where nobody does), `first` (tokens,) the place of each token, `second` the other places of the
    tokens that stand in two sequences, which are the first of the row.
    """

    sequences: int
    length: int
    position_ids: torch.Tensor
    token_at: torch.Tensor
    owner: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a batch holds of it, by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @classmethod
    def of_tensors(cls, batch: Mapping[str, torch.Tensor], sequences: int, length: int) -> FlatRow:
        """The row that a batch holds the tensors of."""
        return cls(sequences, length, *(batch[name] for name in TENSORS))


@dataclass(frozen=True)
class Flat:
    """A row on the CPU: `ids` (1, tokens), and where they stand."""

    ids: torch.Tensor
    row: FlatRow


def length_in_attention(lengths: Sequence[int]) -> int:
    """Places a sequence: as many as the longest has tokens, and one more where that left no padding."""
    longest = max(lengths)
    return longest if min(lengths) < longest else longest + 1


def lay_flat(sequences: Sequence[tuple[Ids, Ids]], pad_token_id: int, *, shared: bool) -> Flat:
    """(prompt ids, response ids) rows as one row.

    `shared`: the second half of the sequences has the prompts of the first, in order, and they stand once.
    Prompts come first, then responses, then one token of padding.
    """
    count = len(sequences)
    prompts = [prompt for prompt, _ in sequences[: count // 2 if shared else count]]
    responses = [response for _, response in sequences]
    before = np.array([len(prompt) for prompt, _ in sequences])
    whole = before + np.array([len(response) for response in responses])
    length = length_in_attention(whole.tolist())
    pieces = [*prompts, *responses]
    sizes = np.array([len(piece) for piece in pieces])
    offsets = np.concatenate([np.zeros(len(prompts), dtype=np.int64), before])
    of_sequence = np.concatenate([np.arange(len(prompts)), np.arange(count)])
    tokens = int(sizes.sum())
    starts = np.cumsum(sizes) - sizes
    position = np.arange(tokens) + np.repeat(offsets - starts, sizes)
    place = np.repeat(of_sequence * length, sizes) + position
    second = place[: sum(map(len, prompts))] + (count // 2) * length if shared else place[:0]
    row = _row(count, length, place, second, position)
    ids = np.concatenate([*pieces, [pad_token_id]]).astype(np.int64)
    return Flat(torch.from_numpy(ids)[None], row)


def _row(count: int, length: int, place: Index, second: Index, position: Index) -> FlatRow:
    """Both ways between the row's tokens and the places."""
    tokens = len(place)
    token_at = np.full(count * length, tokens, dtype=np.int64)
    token_at[place] = np.arange(tokens)
    owner = token_at
    if len(second):
        owner = token_at.copy()
        token_at[second] = np.arange(len(second))
    nowhere = int(np.argmax(token_at == tokens))
    return FlatRow(
        sequences=count,
        length=length,
        position_ids=torch.from_numpy(np.append(position, 0))[None],
        token_at=torch.from_numpy(token_at),
        owner=torch.from_numpy(owner),
        first=torch.from_numpy(np.append(place, nowhere)),
        second=torch.from_numpy(second.astype(np.int64)),
    )
