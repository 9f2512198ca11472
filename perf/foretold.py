"""How near a schedule comes to a run on several devices: as its trace, and as its rehearsals foretold it.

    PYTHONPATH=. python perf/foretold.py RUN --devices 2

RUN is the folder of a finished run whose stages all ran in it, by an executor on so many equal devices. Real
seconds are those from the first start of a stage's process to the last end, of all phases, of training and of
scoring. Fails where the schedule from rehearsals is more than 15% off the last two together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from harness.pipeline.blocks import units_of
from harness.records import ComparisonRecord, StageResult
from harness.running.overheads import START_UP
from harness.running.schedule import Fleet, Placed, Schedule, schedule
from harness.running.unit_seconds import foretold, taken
from harness.store.run_dir import read_record

GOAL = 0.15
AFTER = ("train", "evaluate")
FORETOLD = "all that was foretold"
Span = tuple[str, datetime, datetime]
"""A unit's phase, when its first process was asked for, and when its last stage ended."""


def spans_of(record: ComparisonRecord) -> dict[str, Span]:
    """By unit, as it was."""
    spans: dict[str, Span] = {}
    for unit in units_of(record.plan):
        ran = [record.results[digest] for digest in unit.stages if digest in record.results]
        if ran:
            ends = max(datetime.fromisoformat(result.finished_at) for result in ran)
            spans[unit.name] = (unit.phase, min(map(_began, ran)), ends)
    return spans


def _began(result: StageResult) -> datetime:
    start = result.measured(START_UP)
    seconds = 0.0 if start is None or start.value is None else float(start.value)
    return datetime.fromisoformat(result.started_at) - timedelta(seconds=seconds)


def real_seconds(spans: Iterable[Span], phase: str | None = None) -> float:
    """From the first start to the last end, of one phase or of all."""
    chosen = [(begins, ends) for of, begins, ends in spans if phase in (None, of)]
    return (max(ends for _, ends in chosen) - min(begins for begins, _ in chosen)).total_seconds()


def planned_seconds(placed: Iterable[Placed], phase: str) -> float:
    """The same of a schedule."""
    chosen = [one for one in placed if one.task.phase == phase]
    return max(one.ends for one in chosen) - min(one.begins for one in chosen)


def compared(record: ComparisonRecord, devices: int) -> dict[str, tuple[float, float]]:
    """Real and scheduled seconds: of the whole trace, of training and scoring as rehearsals foretold them,
    and of what is foretold of the two together."""
    fleet, spans = Fleet((1.0,) * devices), list(spans_of(record).values())
    trace = schedule(taken(record).tasks(fleet), fleet)
    before = {d: r for d, r in record.results.items() if record.plan.stages[d].kind not in (*AFTER, "judge")}
    ahead = schedule(foretold(record.plan, before).tasks(fleet), fleet)
    found = {"the whole as a trace": (real_seconds(spans), trace.makespan)}
    for phase in AFTER:
        found[f"{phase}, foretold"] = (real_seconds(spans, phase), planned_seconds(ahead.placed, phase))
    found = {name: seconds for name, seconds in found.items() if not _unknown(ahead, name)}
    both = [found[name] for phase in AFTER if (name := f"{phase}, foretold") in found]
    return {**found, FORETOLD: (sum(real for real, _ in both), sum(told for _, told in both))}


def _unknown(ahead: Schedule, name: str) -> bool:
    """Whether something in the phase of a row was not foretold."""
    unknown = {one.task.phase for one in ahead.placed if one.task.seconds is None}
    return name.partition(",")[0] in unknown


def main() -> int:
    """Print a line each, then JSON; 1 where training and scoring were foretold further off than wanted."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("run", type=Path)
    parser.add_argument("--devices", type=int, required=True)
    given = parser.parse_args()
    record = read_record(given.run)
    found = compared(record, given.devices)
    for name, (real, told) in found.items():
        print(f"{name:24} real {real:8.1f} s  scheduled {told:8.1f} s  {told / real - 1:+.1%}")
    rows = {name: {"real": real, "scheduled": told} for name, (real, told) in found.items()}
    print(json.dumps({"benchmark": "foretold", "run": record.id, "devices": given.devices, "rows": rows}))
    real, told = found[FORETOLD]
    return 1 if abs(told / real - 1) > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
