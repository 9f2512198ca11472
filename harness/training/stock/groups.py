"""Which prompts a step of an online trainer of TRL's answers, and how often each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from harness.training.order import EpochOrder, FixedOrder


class Groups(torch.utils.data.Sampler[int]):
    """Rows of `order` in whole steps of `prompts`, each row `answers` times, each step `passes` times: TRL
    reads a step's prompts once for every micro-batch. What is left of an epoch is left out; fewer prompts
    than a step has are repeated."""

    def __init__(self, order: EpochOrder | FixedOrder, *, prompts: int, answers: int, passes: int) -> None:
        self._order, self._prompts, self._answers, self._passes = order, prompts, answers, passes

    def __len__(self) -> int:
        return self.steps * self._prompts * self._answers * self._passes

    @property
    def steps(self) -> int:
        """Whole steps of an epoch."""
        return max(1, len(self._order) // self._prompts)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is of."""
        if isinstance(self._order, EpochOrder):
            self._order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        rows = list(self._order)
        rows = list(itertools.islice(itertools.cycle(rows), max(len(rows), self._prompts)))
        for start in range(0, self.steps * self._prompts, self._prompts):
            step = [row for row in rows[start : start + self._prompts] for _ in range(self._answers)]
            for _ in range(self._passes):
                yield from step
