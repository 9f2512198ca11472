"""What runs take around their stages: starting processes, and the time between two stages. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.records import StageResult

START_UP = "start_up_seconds"
IMPORTS = 1.0
"""A start that takes so many seconds longer than the shortest one imported what stages need."""
LONGEST_BETWEEN = 2.0
"""After a longer pause the command did something else, or another one went on."""


@dataclass(frozen=True)
class Overheads:
    """Seconds until a stage's process begins (`fork`), until a process has imported what its stages need
    (`worker`, beside that), and from a stage's end to the start of the next (`between`).

    On one device one process imports; on several a worker does for each unit.
    """

    fork: float = 0.0
    worker: float = 0.0
    between: float = 0.0


def overheads(results: Iterable[StageResult]) -> Overheads:
    """As finished stages had them, wherever they ran."""
    found = list(results)
    starts = [start for one in found if (start := _start_up(one)) is not None]
    if not starts:
        return Overheads()
    fork = min(starts)
    imported = [start - fork for start in starts if start - fork > IMPORTS]
    pauses = _pauses(found)
    return Overheads(
        fork, statistics.mean(imported) if imported else 0.0, statistics.median(pauses) if pauses else 0.0
    )


def at_equal_starts(results: Mapping[str, StageResult], fork: float) -> dict[str, StageResult]:
    """The results as if no stage had waited for imports: which one did says nothing of another run."""
    return {digest: _started_in(result, fork) for digest, result in results.items()}


def _started_in(result: StageResult, fork: float) -> StageResult:
    ledger = [m.model_copy(update={"value": fork}) if m.quantity == START_UP else m for m in result.ledger]
    return result.model_copy(update={"ledger": ledger})


def _pauses(results: Iterable[StageResult]) -> list[float]:
    """Seconds from an end to the next start, of stages that ran one after the other."""
    spans = sorted(span for one in results if (span := _span(one)) is not None)
    gaps = [(later[0] - before[1]).total_seconds() for before, later in itertools.pairwise(spans)]
    return [gap for gap in gaps if 0 <= gap <= LONGEST_BETWEEN]


def _span(result: StageResult) -> tuple[datetime, datetime] | None:
    """From when its process was asked for to its end."""
    try:
        began, ended = (datetime.fromisoformat(at) for at in (result.started_at, result.finished_at))
        return began - timedelta(seconds=_start_up(result) or 0.0), ended
    except ValueError:
        return None


def _start_up(result: StageResult) -> float | None:
    measured = result.measured(START_UP)
    return None if measured is None or measured.value is None else float(measured.value)
