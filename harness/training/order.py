"""Which pairs a stage sees in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch


class EpochOrder(torch.utils.data.Sampler[int]):
    """The order of pairs in each epoch: a function of seed and epoch alone, equal in all arms."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._epoch = size, seed, 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(self._size, self._seed, self._epoch)
        self._epoch += 1
        return iter(order)


def epoch_order(size: int, seed: int, epoch: int) -> list[int]:
    """A permutation of `range(size)`."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(size)]


class FixedOrder(torch.utils.data.Sampler[int]):
    """The given rows in the given order, in every epoch."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)


def spread_of_batches(lengths: Sequence[int], size: int, seed: int, steps: int, per_step: int) -> list[int]:
    """Rows of `steps` x `per_step` micro-batches of the first epoch that span its lengths.

    A micro-batch is as long as its longest row. The longest ones come first, for the peak of
    memory and to warm up; the others stand at evenly spread quantiles, in no order of length, so
    that a drift of the machine is not taken for an effect of length.
    """
    order = epoch_order(len(lengths), seed, 0)
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    batches = [b for b in batches if len(b) == size] or [(order * size)[:size]]
    batches.sort(key=lambda rows: -max(lengths[i] for i in rows))
    shares = [0.0, *np.random.default_rng(0).permutation(np.linspace(0.05, 0.95, steps - 1))]
    chosen: list[int] = []
    for share in shares:
        first = int(share * (len(batches) - 1))
        for offset in range(per_step):
            chosen += batches[(first + offset) % len(batches)]
    return chosen
