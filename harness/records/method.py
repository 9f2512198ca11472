"""What a training method says of itself, recorded in every run that uses it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.records.base import Record
from harness.records.citation import Citation


class Method(Record):
    """A method's `ABOUT`.

    `data`: whether it learns from chosen answers alone, from pairs, or from prompts, which it answers itself.
    `trains`: a policy, or a reward that other stages read and that answers nothing. `only`: whose trainer is
    the only one there is, where the shared one has no such loop. `sequences_per_pair`: how many
    sequences go forward and backward for one pair. `reference`: whether the loss reads a frozen
    model's log-probs, which forwards as many sequences again without a gradient. `forwards_per_pair`: how
    many go forward alone besides these. `takes_pairs` says in words what becomes of a pair, where that is
    something else than two answers of which one is better.
    """

    title: str
    cites: tuple[Citation, ...] = ()
    data: Literal["chosen", "pairs", "prompts"]
    trains: Literal["policy", "reward"] = "policy"
    only: Literal["trl"] | None = None
    reference: bool
    sequences_per_pair: Annotated[int, Field(gt=0)]
    forwards_per_pair: Annotated[int, Field(ge=0)] = 0
    takes_pairs: str | None = None
