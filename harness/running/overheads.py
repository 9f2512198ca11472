"""What runs take around their stages: starting processes, and the time between two stages. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.records import StageResult

START_UP = "start_up_seconds"
IMPORTS = 1.0
"""A start that takes so many seconds longer than the shortest one imported what stages need."""
LONGEST_PAUSE = 5.0
"""After a longer one the device waited for others, the command did something else, or another one went on."""


@dataclass(frozen=True)
class Overheads:
    """Seconds until a stage's process begins (`fork`), from a stage's end to the start of the next one by the
    same process (`between`), and what a process takes to begin and to import what its stages need (`worker`).

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
    imports = [start - fork for start in starts if start - fork > IMPORTS]
    pauses = _pauses(found, fork + IMPORTS)
    begins = _median([pause for pause, first in pauses if first]) if imports else 0.0
    worker = begins + (statistics.mean(imports) if imports else 0.0)
    return Overheads(fork, worker, _median([pause for pause, first in pauses if not first]))


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def at_equal_starts(results: Mapping[str, StageResult], fork: float) -> dict[str, StageResult]:
    """The results as if no stage had waited for imports: which one did says nothing of another run."""
    return {digest: _started_in(result, fork) for digest, result in results.items()}


def _started_in(result: StageResult, fork: float) -> StageResult:
    ledger = [m.model_copy(update={"value": fork}) if m.quantity == START_UP else m for m in result.ledger]
    return result.model_copy(update={"ledger": ledger})


def _pauses(results: Iterable[StageResult], imports: float) -> list[tuple[float, bool]]:
    """Seconds from an end to the next start on the same device, and whether that stage is the first of its
    process: one that took longer to start than `imports`."""
    by_place: dict[str | None, list[StageResult]] = {}
    for one in results:
        by_place.setdefault(one.environment.place, []).append(one)
    pauses = []
    for ran in by_place.values():
        spans = sorted((*span, (_start_up(one) or 0.0) > imports) for one in ran if (span := _span(one)))
        for before, later in itertools.pairwise(spans):
            seconds = (later[0] - before[1]).total_seconds()
            if 0 <= seconds <= LONGEST_PAUSE:
                pauses.append((seconds, later[2]))
    return pauses


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
