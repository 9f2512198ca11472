"""The processes that run one stage together: who they are, what they tell each other, how long they wait.

Rank 0 is the stage's own process. What is told goes through the host's memory, so that no accelerator has to
be waited for.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from harness.measure import device
from harness.measure.window import SystemClock

if TYPE_CHECKING:
    import torch

RANK, SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"
"""What torchrun, accelerate and we call them in the environment."""
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
TIMEOUT_SECONDS = 1800.0
"""A rank that nobody hears of for so long is taken for lost; a dead one is noticed at once."""
T = TypeVar("T")


class Ranks:
    """One of `size` processes. A process that is alone has nobody to tell, and waits for nobody.

    `waited` are seconds by phase, as `phase` names it, that this process spent waiting for the others where
    that can be told: at barriers and gathers, not within the reduction of gradients.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.waited: dict[str, float] = {}
        self.phase: Callable[[], str | None] = lambda: None
        self._together = False

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the others at the address in the environment, and share the CPU's cores with them."""
        if self.alone:
            return
        import torch

        kind = device.kind()
        if kind == "cpu":
            torch.set_num_threads(max(1, torch.get_num_threads() // self.size))
        if not torch.distributed.is_initialized():
            own = torch.distributed.get_default_backend_for_device(kind)
            torch.distributed.init_process_group(
                "gloo" if kind == "cpu" else f"cpu:gloo,{kind}:{own}",
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=TIMEOUT_SECONDS),
            )
        self._together = True

    @property
    def together(self) -> bool:
        """Whether the others are still there to be waited for."""
        return self._together

    def part(self) -> None:
        """Nobody is waited for from here on."""
        self._together = False

    def wait(self) -> None:
        """Return when all are here."""
        if self._together:
            self._all_of(None)

    def told(self, mine: T) -> list[T]:
        """What every rank has to say, in their order; all of them have to ask."""
        return self._all_of(mine) if self._together else [mine]

    def in_turn(self, mine: list[T]) -> list[T]:
        """The entries of all ranks, dealt out in turn: the first of each, the second of each, ..."""
        lists = self.told(mine)
        longest = max(map(len, lists), default=0)
        return [each[i] for i in range(longest) for each in lists if i < len(each)]

    def of_first(self, mine: T) -> T:
        """What rank 0 says."""
        return self.told(mine)[0]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks of a tensor on the stage's device."""
        if self._together:
            import torch

            with self._waiting():
                torch.distributed.all_reduce(values)
        return values

    def _all_of(self, mine: T) -> list[T]:
        import torch

        found: list[Any] = [None] * self.size
        with self._waiting():
            torch.distributed.all_gather_object(found, mine)
        return found

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        phase = self.phase() or ""
        self.waited[phase] = self.waited.get(phase, 0.0) + time.perf_counter() - began


ALONE = Ranks()


class SharedClock(SystemClock):
    """A clock that waits for the device and then for the other ranks, so that a phase ends for all when it
    ends for the slowest."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def synchronize(self) -> None:
        super().synchronize()
        self._ranks.wait()


def ranks_here() -> Ranks:
    """This process as the environment has it."""
    return Ranks(int(os.environ.get(RANK, "0")), int(os.environ.get(SIZE, "1")))
