"""The benchmark's trace is a run whose schedule is known to be sane."""

from __future__ import annotations

import pytest

from harness.running.unit_seconds import taken
from perf.schedule import planned, trace


def test_a_trace_is_as_long_as_its_stages_and_shrinks_with_devices() -> None:
    record = trace(40)
    units = taken(record)
    alone, many = planned(units, 1), planned(units, 64)
    assert len({unit.seconds for unit in units if unit.unit.phase == "train"}) == 10, (
        "no two blocks are equal"
    )
    assert alone.makespan == pytest.approx(sum(unit.seconds or 0.0 for unit in units))
    assert many.makespan == many.least < alone.makespan / 5
