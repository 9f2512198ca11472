"""Which devices the training stages of each block ran on: pure, over what stages recorded.

A ratio of seconds, joules or bytes of two arms says something of the arms alone where both ran on one device.
A block that did not stay on one is split: its ratios are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.records import Plan, StageResult

Key = tuple[int, int]
"""Seed and repeat of a block's cells."""


@dataclass(frozen=True)
class BlockDevices:
    """The kinds and the places of a block's training stages, each once, in the order of its stages.

    A GPU that nobody names has no place; a block that knows of one kind and of no second place is whole.
    """

    seed: int
    repeat: int
    kinds: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def key(self) -> Key:
        """By what its cells are found."""
        return self.seed, self.repeat

    @property
    def name(self) -> str:
        """`seed 3`, or `seed 3, repeat 1`."""
        return f"seed {self.seed}" + (f", repeat {self.repeat}" if self.repeat else "")

    @property
    def whole(self) -> bool:
        """Whether all of it ran on one device."""
        return len(self.kinds) <= 1 and len(self.places) <= 1

    @property
    def kind(self) -> str | None:
        """The kind of device that it ran on; None for a split one, and where nothing of it ran."""
        return self.kinds[0] if self.whole and self.kinds else None


def devices_of_blocks(plan: Plan, results: Mapping[str, StageResult]) -> list[BlockDevices]:
    """One entry a block, by repeat and seed; of stages without a result nothing is known."""
    stages: dict[Key, dict[str, None]] = {}
    for cell in plan.cells:
        stages.setdefault((cell.seed, cell.repeat), {}).update(dict.fromkeys(cell.stages))
    blocks = []
    for (seed, repeat), digests in sorted(stages.items(), key=lambda one: (one[0][1], one[0][0])):
        ran = [results[digest].environment for digest in digests if digest in results]
        kinds = dict.fromkeys(one.kind_of_device for one in ran)
        places = dict.fromkeys(one.place for one in ran if one.place is not None)
        blocks.append(BlockDevices(seed, repeat, tuple(kinds), tuple(places)))
    return blocks
