"""The parity check of devices: all stages of a block on one, whichever it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.pipeline._parity_weights import Seen, check_of
from harness.pipeline.block_devices import BlockDevices, devices_of_blocks
from harness.records import ParityCheck, Plan, StageResult

NAME = "device"


def device(
    plan: Plan, results: Mapping[str, StageResult], seen: Sequence[Seen], *, trained: bool
) -> ParityCheck:
    """After training, whether each block stayed on one device. Before it, where stages were rehearsed: on
    several kinds their forecasts are of several kinds, and what blocks will run on is not known."""
    values = {one.name: _where(one) for one in seen}
    if not seen or any(one.environment.place is None for one in seen):
        return check_of(NAME, None, "not every stage knows its device", values)
    if trained:
        return _of_blocks(devices_of_blocks(plan, results), values)
    kinds, places = ({getattr(one.environment, key) for one in seen} for key in ("kind_of_device", "place"))
    if len(kinds) > 1:
        listed = "; ".join(sorted(kinds))
        return check_of(NAME, None, f"stages were rehearsed on several kinds of device: {listed}", values)
    where = next(iter(places)) if len(places) == 1 else f"{len(places)} devices of one kind"
    return check_of(NAME, True, f"rehearsed on {where}", values)


def _of_blocks(blocks: Sequence[BlockDevices], values: Mapping[str, str]) -> ParityCheck:
    split = [block for block in blocks if not block.whole]
    if split:
        listed = "; ".join(f"{block.name}: {', '.join(block.places)}" for block in split)
        told = f"{len(split)} of {len(blocks)} blocks ran on several devices ({listed})"
        return check_of(NAME, False, f"{told}; their ratios are left out", values)
    places = Counter(block.places[0] for block in blocks if block.places)
    if len(places) == 1:
        return check_of(NAME, True, next(iter(places)), values)
    listed = "; ".join(f"{count} on {place}" for place, count in places.items())
    return check_of(NAME, True, f"each block on one device: {listed}", values)


def _where(one: Seen) -> str:
    return one.environment.place or f"a {one.environment.kind_of_device} that nobody names"
