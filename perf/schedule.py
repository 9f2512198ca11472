"""How long a schedule of 1,000 cells on 64 devices takes to make, and how far it is from what none can beat.

    PYTHONPATH=. python perf/schedule.py [--cells 1000] [--devices 64]

A made run of four arms, whose stages take seconds drawn at random, is planned with nothing but its rehearsals
finished, with half of its stages finished, and played through again as a trace of the whole run. A comparison
file with as many cells is planned from the start too. Fails above 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import ComparisonRecord
from harness.running.resolve import resolve
from harness.running.schedule import Fleet, Schedule, schedule
from harness.running.unit_seconds import Work, foretold, taken
from tests.synthetic import make_record

LIMIT = 5.0
ARMS = 4
SPREAD = 0.3
"""Standard deviation of the logarithm of a stage's seconds over seeds."""


def trace(cells: int) -> ComparisonRecord:
    """A finished run whose training stages take about 40 minutes each and scoring about 5."""
    record, rng = make_record(seeds=tuple(range(cells // ARMS)), full=True), random.Random(0)
    results = {}
    for digest, result in record.results.items():
        typical = {"train": 2400.0, "evaluate": 300.0}.get(result.kind, 60.0)
        ends = datetime.fromisoformat(result.started_at) + timedelta(
            seconds=typical * rng.lognormvariate(0, SPREAD)
        )
        results[digest] = result.model_copy(update={"finished_at": ends.isoformat()})
    return record.model_copy(update={"results": results})


def planned(work: Work, devices: int) -> Schedule:
    """The schedule of what is known."""
    fleet = Fleet((1.0,) * devices)
    return schedule(work.tasks(fleet), fleet)


def timed(name: str, what: Callable[[], Schedule]) -> tuple[float, Schedule]:
    """Seconds that a schedule took to make, printed with how near it is to what none can beat."""
    began = time.perf_counter()
    found = what()
    seconds = time.perf_counter() - began
    above = found.makespan / found.least - 1 if found.least else 0.0
    print(
        f"{name:34} {seconds:7.3f} s  {len(found.placed):5} units  {found.makespan / 3600:8.2f} h  "
        f"{above:6.2%} above what none beats"
    )
    return seconds, found


def from_file(seeds: int, devices: int) -> Schedule:
    """A comparison file of three arms from its first line: read, planned, scheduled; nothing is foretold."""
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(seeds=str(seeds)))
    return planned(foretold(plan_comparison(spec, resolve(spec)), {}), devices)


def main() -> int:
    """Print a line a case, then JSON; 1 where one takes longer than the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--devices", type=int, default=64)
    given = parser.parse_args()
    record, devices = trace(given.cells), given.devices
    before = {d: r for d, r in record.results.items() if r.kind not in ("train", "evaluate")}
    half = {d: r for d, r in record.results.items() if r.kind not in ("train", "evaluate") or r.seed % 2}
    cases = {
        "the whole run as a trace": lambda: planned(taken(record), devices),
        "rehearsed, nothing trained": lambda: planned(foretold(record.plan, before), devices),
        "half of it finished": lambda: planned(foretold(record.plan, half), devices),
        "a comparison file, nothing known": lambda: from_file(given.cells // 3 + 1, devices),
    }
    print(f"{given.cells} cells on {devices} devices")
    found = {name: timed(name, case) for name, case in cases.items()}
    rows = {
        n: {"seconds": s, "units": len(f.placed), "hours": f.makespan / 3600} for n, (s, f) in found.items()
    }
    print(json.dumps({"benchmark": "schedule", "cells": given.cells, "devices": devices, "cases": rows}))
    missed = [name for name, (seconds, _) in found.items() if seconds > LIMIT]
    for name in missed:
        print(f"{name}: longer than {LIMIT:g} s", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
