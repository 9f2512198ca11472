"""The benchmark's trace is a run whose schedule is known to be sane."""

from __future__ import annotations

import pytest

from harness.running.unit_seconds import taken
from perf.schedule import planned, trace


def test_a_trace_is_as_long_as_its_stages_and_shrinks_with_devices() -> None:
    record = trace(40)
    work = taken(record)
    alone, many = planned(work, 1), planned(work, 64)
    assert len({unit.seconds for unit in work.units if unit.unit.phase == "train"}) == 10, (
        "no two blocks are equal"
    )
    assert alone.makespan == pytest.approx(sum(unit.seconds or 0.0 for unit in work.units))
    assert many.makespan == many.least < alone.makespan / 5
