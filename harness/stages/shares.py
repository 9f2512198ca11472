"""What each rank of a stage took, told to rank 0 when the measured work ends, and the stage's figures of it.

Seconds are those between barriers, so rank 0's are everybody's. Joules are summed, peaks of memory summed and
their highest taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.measure.window import HEADLINE_PHASES, Window
from harness.records import Measurement, ParallelFacts

PEAKS = (
    "peak_memory_bytes",
    "peak_allocated_bytes",
    "peak_reserved_bytes",
    "host_peak_rss_bytes",
    "host_growth_bytes",
)


@dataclass(frozen=True)
class Share:
    """One rank's seconds, waiting and joules by phase, its memory, and its device's UUID or name."""

    seconds: dict[str, float]
    waited: dict[str, float]
    joules: dict[str, float]
    memory: list[Measurement]
    device: str | None

    def peak(self, quantity: str) -> float | None:
        """A peak of this rank; None where it has none."""
        return next((m.value for m in self.memory if m.quantity == quantity), None)


def add_joules(window: Window, others: Sequence[Share]) -> None:
    """Book what the other ranks' devices took in the phases of this one; nothing where one cannot tell."""
    if not all(share.joules for share in others):
        window.joules.clear()
    for phase in window.joules:
        window.joules[phase] += sum(share.joules.get(phase, 0.0) for share in others)


def highest(memory: list[Measurement], shares: Sequence[Share]) -> list[Measurement]:
    """Rank 0's entries, with the highest peak of all ranks, and beside them the sum."""
    if len(shares) < 2:
        return memory
    of_all = {name: [share.peak(name) for share in shares] for name in PEAKS}
    known = {name: [v for v in values if v is not None] for name, values in of_all.items()}
    whole = {name for name, values in known.items() if len(values) == len(shares)}
    said = f"the highest of {len(shares)} ranks; rank 0: "
    found = [
        m.model_copy(update={"value": max(known[m.quantity]), "source": said + m.source})
        if m.quantity in whole
        else m
        for m in memory
    ]
    if PEAKS[0] in whole:
        found.append(
            Measurement(
                quantity="summed_memory_bytes",
                value=sum(known[PEAKS[0]]),
                unit="B",
                scope="stage",
                source=f"peaks of {len(shares)} ranks, which need not be of one moment",
            )
        )
    return found


def headline_of(by_phase: dict[str, float]) -> float:
    """What the headline's phases took."""
    return sum(by_phase.get(phase, 0.0) for phase in HEADLINE_PHASES)


def with_shares(facts: ParallelFacts, shares: Sequence[Share]) -> ParallelFacts:
    """`facts` with what each rank took."""
    ranks = [
        rank.model_copy(
            update={
                "device": share.device,
                "seconds": headline_of(share.seconds),
                "waited_seconds": headline_of(share.waited),
                "peak_memory_bytes": share.peak(PEAKS[0]),
                "joules": headline_of(share.joules) if share.joules else None,
            }
        )
        for rank, share in zip(facts.ranks, shares, strict=True)
    ]
    return facts.model_copy(update={"ranks": ranks})


def device_ledger(window: Window, shares: Sequence[Share]) -> list[Measurement]:
    """What a stage on several devices is charged: its seconds times their number; and what they waited."""
    if len(shares) < 2:
        return []

    def entry(quantity: str, value: float, source: str) -> Measurement:
        return Measurement(quantity=quantity, value=value, unit="s", scope="stage", source=source)

    waited = sum(headline_of(share.waited) for share in shares)
    return [
        entry("device_seconds", window.headline() * len(shares), f"clock, times {len(shares)} devices"),
        entry("waiting_seconds", waited, "barriers and gathers between ranks, summed; not within reductions"),
    ]
