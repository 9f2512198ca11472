"""Where a comparison's wall seconds went, by kind, from its record; nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from harness.records import ComparisonRecord, StageResult

BY_PHASE = {
    "counting": ("counting_seconds",),
    "probes and checkpoints": ("evaluation_seconds", "audit_seconds", "checkpoint_seconds"),
    "generation": ("generation_seconds",),
    "scoring": ("scoring_seconds",),
}
"""Phases that have a kind of their own, in whatever stage they stand."""
BY_STAGE = {
    "prepare": "preparing data",
    "check": "checks",
    "rehearse": "rehearsal",
    "rehearse_evaluate": "rehearsal",
    "train": "training",
    "evaluate": "loading and keeping in scoring",
    "judge": "judging",
}
"""What the rest of a stage is, its start-up aside."""
REPORT, PARENT = "report", "everything else of the parent"


def spent(record: ComparisonRecord, wall: float, report: float | None) -> dict[str, float]:
    """Seconds by kind that add up to `wall`, that of the whole command; `report` is what its report took."""
    seconds: dict[str, float] = {"start-up of stages": 0.0}
    for result in record.results.values():
        measured = {
            m.quantity: float(m.value) for m in result.ledger if m.value is not None and m.unit == "s"
        }
        seconds["start-up of stages"] += measured.get("start_up_seconds", 0.0)
        left = length(result)
        for kind, phases in _phases_of(result):
            taken = sum(measured.get(phase, 0.0) for phase in phases)
            seconds[kind] = seconds.get(kind, 0.0) + taken
            left -= taken
        seconds[BY_STAGE[result.kind]] = seconds.get(BY_STAGE[result.kind], 0.0) + left
    seconds[REPORT] = report or 0.0
    return {**seconds, PARENT: wall - sum(seconds.values())}


def _phases_of(result: StageResult) -> Iterable[tuple[str, tuple[str, ...]]]:
    """A rehearsal's trials of answering and probing are rehearsal; what it counts is counting."""
    rehearses = result.kind.startswith("rehearse")
    return [(kind, phases) for kind, phases in BY_PHASE.items() if kind == "counting" or not rehearses]


def length(result: StageResult) -> float:
    """Seconds of a stage from its first work to its last, without its start-up."""
    began, ended = (datetime.fromisoformat(at) for at in (result.started_at, result.finished_at))
    return (ended - began).total_seconds()


def training_seconds(result: StageResult) -> float:
    """A training stage's own seconds: its steps, and the reference's pass where that came before them."""
    parts = [result.measured(name) for name in ("train_seconds", "reference_seconds")]
    return sum(float(part.value) for part in parts if part is not None and part.value is not None)


def means(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each kind over repeats."""
    rows = list(several)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}
