"""Pairs of chosen lengths: how a lever changes their batches, and the texts that have them.

A prompt takes a share of each sequence, or lengths lie so far apart that a share of the batches is padding.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.embedded.vocabulary import WORDS
from harness.generate.flat import length_in_attention
from harness.jsonl import write_jsonl
from harness.measure.flops import Bucket
from harness.training.order import first_epoch

MICRO_BATCH, TEST_PAIRS = 4, 4
TEMPLATE_TOKENS, END_TOKENS = 3, 1
"""What the embedded template adds to a prompt, and to an answer; a word is a token."""
SPREADS = ((0.2, 1), (0.5, 1), (0.95, 1), (0.95, 2), (0.95, 4))
"""(s, k): a sequence's length is the longest times 1 - s + s * u^k, with u even in 0 to 1."""


@dataclass(frozen=True)
class Pair:
    """Tokens of a pair's prompt and of its two answers."""

    prompt: int
    chosen: int
    rejected: int

    @property
    def sequences(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(length, scored positions) of both sequences."""
        return (self.prompt + self.chosen, self.chosen), (self.prompt + self.rejected, self.rejected)


@dataclass(frozen=True)
class Case:
    """A point of a sweep: `share` of prompt or padding, pairs, batches without and with the lever."""

    share: float
    pairs: list[Pair]
    without: list[Bucket]
    with_it: list[Bucket]


def padded(pairs: Sequence[Pair]) -> list[Bucket]:
    """The micro-batches of an epoch as they are padded: both sequences of each pair, to the longest."""
    found = []
    for sequences in _micro_batches(pairs):
        longest, scored = max(length for length, _ in sequences), sum(s for _, s in sequences)
        found.append(Bucket(len(sequences), longest, scored))
    return found


def flat(pairs: Sequence[Pair], *, shared: bool) -> list[Bucket]:
    """The same in rows without padding, each pair's prompt once where it is `shared`."""
    found = []
    for sequences in _micro_batches(pairs):
        tokens, scored = sum(length for length, _ in sequences), sum(s for _, s in sequences)
        prompts = tokens - scored
        row = scored + (prompts // 2 if shared else prompts) + 1
        length = length_in_attention([length for length, _ in sequences])
        found.append(Bucket(len(sequences), length, scored, row=row))
    return found


def _micro_batches(pairs: Sequence[Pair]) -> list[list[tuple[int, int]]]:
    """(length, scored positions) of the sequences of each."""
    return [
        [one for row in batch for one in pairs[row].sequences]
        for batch in first_epoch(len(pairs), MICRO_BATCH, 0)
    ]


def prompt_cases(count: int, length: int) -> list[Case]:
    """Equal pairs, their prompt from 10 to 80% of each sequence."""
    cases = []
    for tenths in range(1, 9):
        prompt = round(length * tenths / 10)
        pairs = [Pair(prompt, length - prompt, length - prompt)] * count
        cases.append(Case(tenths / 10, pairs, flat(pairs, shared=False), flat(pairs, shared=True)))
    return cases


def padding_cases(count: int, length: int) -> list[Case]:
    """Pairs of ever more unequal lengths, a tenth of each sequence its prompt."""
    cases = []
    for spread, power in SPREADS:
        rng = random.Random(0)
        pairs = []
        for _ in range(count):
            chosen, rejected = (
                round(length * (1 - spread + spread * rng.random() ** power)) for _ in range(2)
            )
            prompt = max(TEMPLATE_TOKENS + 1, min(chosen, rejected) // 10)
            pairs.append(Pair(prompt, max(2, chosen - prompt), max(2, rejected - prompt)))
        without, with_it = padded(pairs), flat(pairs, shared=False)
        share = 1 - sum(b.tokens for b in with_it) / sum(b.tokens for b in without)
        cases.append(Case(share, pairs, without, with_it))
    return cases


def write_pairs(pairs: Sequence[Pair], to: Path) -> None:
    """Random words that make up the asked numbers of tokens."""
    rng, words = random.Random(0), [str(word) for word in WORDS]
    to.mkdir(parents=True)
    rows = [
        {
            "prompt": " ".join(rng.choices(words, k=pair.prompt - TEMPLATE_TOKENS)),
            "chosen": " ".join(rng.choices(words, k=pair.chosen - END_TOKENS)),
            "rejected": " ".join(rng.choices(words, k=pair.rejected - END_TOKENS)),
        }
        for pair in pairs
    ]
    write_jsonl(to / "train.jsonl", rows)
    write_jsonl(to / "test.jsonl", [{**row, "prompt": f"test {row['prompt']}"} for row in rows[:TEST_PAIRS]])
