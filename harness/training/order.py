"""Which pairs a stage sees in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch


class EpochOrder(torch.utils.data.Sampler[int]):
    """The order of pairs in each epoch: a function of seed and epoch alone, equal in all arms."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._epoch = size, seed, 0

    def __len__(self) -> int:
        return self._size

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is of; without a word it is the next one."""
        self._epoch = epoch

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


class RanksBatches:
    """Rows of the micro-batches of one rank: of each effective batch those that are its turn.

    Micro-batch i of an effective batch of `per_step` goes to rank i % `ranks`; where the last effective batch
    of an epoch leaves a rank without one, it gets one without rows. No row comes twice.
    """

    def __init__(
        self, order: EpochOrder | FixedOrder, size: int, per_step: int, rank: int, ranks: int
    ) -> None:
        self._order, self._size, self._per_step, self._rank, self._ranks = order, size, per_step, rank, ranks

    def __len__(self) -> int:
        whole, rest = divmod(-(-len(self._order) // self._size), self._per_step)
        return (whole * self._per_step + -(-rest // self._ranks) * self._ranks) // self._ranks

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is of."""
        if isinstance(self._order, EpochOrder):
            self._order.set_epoch(epoch)

    @property
    def batch_sampler(self) -> RanksBatches:
        """Where transformers looks for `set_epoch`: below what accelerate would have put around this."""
        return self

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self._order)
        batches = [rows[i : i + self._size] for i in range(0, len(rows), self._size)]
        for first in range(0, len(batches), self._per_step):
            step = batches[first : first + self._per_step]
            for turn in range(0, len(step), self._ranks):
                place = turn + self._rank
                yield step[place] if place < len(step) else []


Weigh = Callable[[Sequence[int]], int]
"""Tokens that a micro-batch of these rows computes."""


def first_epoch(pairs: int, size: int, seed: int) -> list[list[int]]:
    """Rows of the full micro-batches of the first epoch; one of repeated rows where there is none."""
    order = epoch_order(pairs, seed, 0)
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return [b for b in batches if len(b) == size] or [(order * size)[:size]]


def padded(lengths: Sequence[int]) -> Weigh:
    """Where rows are padded to the longest of a micro-batch."""
    return lambda rows: len(rows) * max(lengths[i] for i in rows)


def flat(tokens: Sequence[int]) -> Weigh:
    """Where the tokens of a micro-batch stand in one row."""
    return lambda rows: sum(tokens[i] for i in rows)


def spread_of_batches(
    weigh: Weigh, pairs: int, size: int, seed: int, steps: int, per_step: int
) -> list[list[int]]:
    """Rows of `steps` x `per_step` micro-batches of the first epoch that span what they weigh.

    The largest ones come first, to fail at once where they do not fit, and one of them again in the
    second step, since only then the optimizer's state takes its memory beside them. One of median size
    stands with it, so that two steps know of two sizes. The others stand at evenly spread quantiles, in
    no order of size, so that a drift of the machine is not taken for an effect of size.
    """
    batches = sorted(first_epoch(pairs, size, seed), key=lambda rows: -weigh(rows))
    middle, again = batches[len(batches) // 2], batches[0]
    longest = [batches[i % len(batches)] for i in range(per_step)]
    second = [middle, again] if per_step > 1 else [again, middle]
    left = max(0, steps * per_step - len(longest) - len(second))
    shares = np.random.default_rng(0).permutation(np.linspace(0.05, 0.95, left))
    spread = [batches[int(share * (len(batches) - 1))] for share in shares]
    return [*longest, *second, *spread][: steps * per_step]
