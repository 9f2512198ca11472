"""The benchmark's trace is a run whose schedule is known to be sane."""

from __future__ import annotations

import pytest
from synthetic import make_record

from harness.running.unit_seconds import taken
from perf.foretold import FORETOLD, compared, real_seconds, spans_of
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


def test_a_schedule_is_held_against_when_stages_ran() -> None:
    """Stages of a minute and scorings of 2 s: a block each, 2 rehearsals each and 4 cells each, in turn."""
    record = make_record(full=True)
    spans = spans_of(record)
    assert spans["train seed 0"][0] == "train"
    assert real_seconds(spans.values(), "train") == 60.0, "all made stages stand at one minute"
    found = compared(record, 2)
    real, told = found["the whole as a trace"]
    assert (real, told) == (60.0, pytest.approx(4 * 60 + 2 * 60 + 4 * 2))
    assert set(found) == {"the whole as a trace", "train, foretold", FORETOLD}, "no scoring was rehearsed"
