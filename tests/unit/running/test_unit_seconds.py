"""Seconds of units: as they took, as rehearsed, by a rate; what nothing foretells is named and never 0."""

from __future__ import annotations

import pytest
from synthetic import ENVIRONMENT, FLOPS, make_record, measured

from harness.errors import UserError
from harness.pipeline.blocks import Unit, units_of
from harness.records import StageResult
from harness.running.fleets import fleets_of, in_words
from harness.running.overheads import Overheads, overheads
from harness.running.schedule import Fleet, Task, schedule
from harness.running.schedule_shown import joules_of
from harness.running.unit_seconds import UnitSeconds, Work, foretold, longest_units_first, taken, watts

RECORD = make_record(full=True)
BEFORE = {"prep", "re-sft", "re-dpo", "re-orpo", "re-pre"}


def known(*digests: str) -> dict[str, StageResult]:
    return {d: r for d, r in RECORD.results.items() if d in {*BEFORE, *digests}}


def by_name(work: Work) -> dict[str, UnitSeconds]:
    return {unit.unit.name: unit for unit in work.units}


def trained(fleet: Fleet) -> list[Task]:
    return [task for task in taken(RECORD).tasks(fleet) if task.phase == "train"]


def test_a_finished_run_is_played_through_with_the_seconds_that_it_took() -> None:
    """Every training stage took its minute, shared ones once: 4 stages a block."""
    units = by_name(taken(RECORD))
    block = units["train seed 0"]
    assert [name for name, _, _ in block.stages] == [
        "sft/sft@0",
        "sft_dpo/dpo@0",
        "orpo/orpo@0",
        "sft_dpo_precomputed/pre@0",
    ]
    assert (block.seconds, block.unknown) == (240.0, ())
    assert {source for unit in units.values() for _, _, source in unit.stages} == {"as it took"}
    fleets = [Fleet((1.0,) * n) for n in (1, 2, 64)]
    assert [schedule(trained(fleet), fleet).makespan for fleet in fleets] == [480, 240, 240]


def test_what_is_finished_is_left_out_and_the_rest_is_foretold() -> None:
    units = by_name(foretold(RECORD.plan, known("ev-sft0")))
    assert "prepare" not in units
    assert {source for _, _, source in units["train seed 1"].stages} == {"rehearsed"}
    assert units["train seed 1"].seconds is not None
    after = by_name(foretold(RECORD.plan, known("sft0", "dpo0", "orpo0", "pre0")))
    assert "train seed 0" not in after
    assert {source for _, _, source in after["train seed 1"].stages} == {"as finished stages took"}
    assert after["train seed 1"].seconds == pytest.approx(240.0)


def test_what_nothing_foretells_is_unknown_and_named() -> None:
    """No scoring was rehearsed in this plan; half of a unit's seconds are none of it."""
    scored = by_name(foretold(RECORD.plan, known()))["evaluate seed 1"]
    assert scored.seconds is None
    assert "sft/evaluate@1" in scored.unknown
    tasks = foretold(RECORD.plan, known()).tasks(Fleet((1.0,)))
    assert {task.seconds for task in tasks if task.phase == "evaluate"} == {None}
    half = UnitSeconds(Unit("u", "train", ("a", "b")), (("a", 5.0, "rehearsed"), ("b", None, "unknown")))
    assert (half.seconds, half.unknown) == (None, ("b",))


def test_a_device_that_rehearsed_nothing_trains_its_flops_at_a_rate() -> None:
    units = by_name(foretold(RECORD.plan, known("ev-sft0"), flops_per_second=1e11))
    stages = {name: (seconds, source) for name, seconds, source in units["train seed 1"].stages}
    assert stages["orpo/orpo@1"] == (FLOPS["orpo"] / 1e11, "by FLOPs and rate")
    assert units["evaluate seed 1"].seconds is None, "what scoring took here says nothing of another device"


def test_energy_is_the_measured_power_of_the_same_device_alone() -> None:
    assert watts(RECORD.results) == (None, "no finished training stage measured its energy")
    ledger = [measured("energy_joules", 5_000.0, "J"), measured("wall_seconds", 25.0, "s")]
    one = RECORD.results["orpo0"].model_copy(update={"ledger": ledger})
    power = watts({**RECORD.results, "orpo0": one})
    assert power == (200.0, "1 finished training stage(s)")
    fleet, mixed = Fleet((1.0, 1.0)), Fleet((1.0, 2.0))
    assert joules_of(schedule(trained(fleet), fleet), power) == 480 * 200
    assert joules_of(schedule(trained(mixed), mixed), power) is None


def started(name: str, began: str, ended: str, start_up: float) -> StageResult:
    ledger = [measured("start_up_seconds", start_up, "s")]
    times = {"started_at": f"2026-01-01T{began}", "finished_at": f"2026-01-01T{ended}"}
    return RECORD.results[name].model_copy(update={**times, "ledger": ledger})


def test_imports_are_paid_once_on_one_device_and_by_every_unit_on_several() -> None:
    """Prepare waited 9 s for imports; between two stages were 0.4 s."""
    ran = {
        "prep": started("prep", "00:00:09.2", "00:00:12", 9.2),
        "sft0": started("sft0", "00:00:12.6", "00:01:12.6", 0.2),
        "orpo0": started("orpo0", "00:01:13.2", "00:02:13.2", 0.2),
        "sft1": started("sft1", "01:00:00", "01:01:00", 0.2),
    }
    found = overheads(ran.values())
    assert found == Overheads(fork=0.2, worker=pytest.approx(9.0), between=pytest.approx(0.4))
    work = taken(RECORD.model_copy(update={"results": ran}))
    alone, several = ({task.name: task.seconds for task in work.tasks(Fleet((1.0,) * n))} for n in (1, 2))
    assert alone["prepare"] == several["prepare"] == pytest.approx(2.8 + 0.2 + 0.4 + 9)
    assert alone["train seed 0"] == pytest.approx(2 * (60 + 0.2 + 0.4))
    assert several["train seed 0"] == pytest.approx(2 * (60 + 0.2 + 0.4) + 9)
    assert overheads([]) == Overheads()


def test_what_a_worker_takes_to_begin_is_told_by_pauses_on_its_device() -> None:
    """On each of two devices a second worker begins 1.5 s after the first has ended, and imports for 8 s."""
    ran = []
    for core in ("0", "1"):
        place = ENVIRONMENT.model_copy(update={"cores": core})
        ran += [
            one.model_copy(update={"environment": place})
            for one in (
                started("sft0", "00:00:08.2", "00:01:00", 8.2),
                started("orpo0", "00:01:00.6", "00:02:00", 0.2),
                started("sft1", "00:02:09.7", "00:03:00", 8.2),
            )
        ]
    assert overheads(ran) == Overheads(0.2, pytest.approx(9.5), pytest.approx(0.4))


def test_executors_start_the_longest_unit_first() -> None:
    results = known("sft0", "dpo0", "orpo0", "pre0")
    units = [unit for unit in units_of(RECORD.plan) if unit.phase == "train"]
    assert [unit.name for unit in longest_units_first(units, RECORD.plan, results)] == [
        "train seed 1",
        "train seed 0",
    ], "nothing of seed 0 is left to run"


def test_fleets_are_read_and_told() -> None:
    assert fleets_of("1, 8") == [Fleet((1.0,)), Fleet((1.0,) * 8)]
    assert fleets_of("2+1@2.5") == [Fleet((1.0, 1.0, 2.5))]
    assert in_words(Fleet((1.0, 1.0, 2.5))) == "2 + 1 of speed 2.5"


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "two", "1,,2", "4@", "4@0", "4@fast", "4@nan", "99999", "2@1e9"]
)
def test_what_is_no_fleet_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no number of devices"):
        fleets_of(text)
