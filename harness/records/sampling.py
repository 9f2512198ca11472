"""Answers that a model gave to training prompts and a judge ranked, for pairs of a next round."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from harness.records.base import Record


class SampleFacts(Record):
    """`samples` answers to each of `prompts`, drawn at `temperature`, graded by `judge`, which could not tell
    of `ungraded`. `asked` is what the judge says that it asked, and what that cost."""

    kind: Literal["sample"] = "sample"
    prompts: int
    samples: int
    temperature: float
    judge: str
    ungraded: int
    asked: dict[str, Any] = Field(default_factory=dict)


class Round(Record):
    """An earlier round of a chain of comparisons: its run, and the pairs that were made from it.

    `seconds` is what sampling and judging took, None where nobody measured it.
    """

    run: str
    source: str
    arm: str
    judge: str
    pairs_added: NonNegativeInt
    seconds: NonNegativeFloat | None = None
