"""`harness compare` of a sweep: a comparison at every point, and one report of them all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from harness.commands import report as report_command
from harness.commands.closing import failed_lines
from harness.pipeline.overrides import Overrides
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.sweep import in_words, points
from harness.records import ComparisonRecord, SweepPoint, SweepRecord
from harness.running.execute import typed_command
from harness.store.run_dir import RunRoot
from harness.units import seconds


def run(
    path: Path,
    spec: ComparisonSpec,
    overrides: Overrides,
    run_at: Callable[[Overrides], ComparisonRecord],
    *,
    out: Path,
    console: Console,
) -> int:
    """Run every point, which reuses what others trained, then write the report of all; returns 0, or 1 where
    some stage failed. `run_at` runs the comparison that the overrides make of the file."""
    wanted, records, began = points(spec.sweep), list[ComparisonRecord](), time.monotonic()
    for number, point in enumerate(wanted, 1):
        console.print(f"Point {number} of {len(wanted)}: {in_words(point)}{_left(records, wanted, began)}")
        at = replace(overrides, point=point)
        records.append(run_at(at))
        for line in failed_lines(records[-1].failed, out):
            console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    record = _record(path, spec, records)
    folder = RunRoot(out).write_sweep(record)
    print(report_command.write_sweep(folder) / "report.md")
    return 1 if any(one.failed for one in records) else 0


def _left(records: Sequence[ComparisonRecord], wanted: Sequence[object], began: float) -> str:
    """How long the points ahead take if they are like those that are done."""
    if not records:
        return ""
    each = (time.monotonic() - began) / len(records)
    return f"; about {seconds(each * (len(wanted) - len(records)))} left"


def _record(path: Path, spec: ComparisonSpec, records: Sequence[ComparisonRecord]) -> SweepRecord:
    digest = hashlib.sha256("\n".join(one.id for one in records).encode()).hexdigest()[:10]
    return SweepRecord(
        id=f"{spec.name}-sweep-{digest}",
        name=spec.name,
        created_at=datetime.now(UTC).isoformat(),
        fields=list(spec.sweep),
        points=[
            SweepPoint(settings=dict(point), run=one.id)
            for point, one in zip(points(spec.sweep), records, strict=True)
        ],
        command=typed_command(),
        file=str(path.resolve()),
    )
