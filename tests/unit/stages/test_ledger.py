"""Seconds and joules of a stage, and what it is charged for that another stage did."""

from __future__ import annotations

import itertools

import pytest

from harness.measure.energy import EnergyMeter
from harness.measure.window import REFERENCE_READ, Charged, Window
from harness.quantities import CATALOGUE
from harness.records import Measurement, WindowState
from harness.running.course import DOES
from harness.stages.ledger import (
    AMORTISED_JOULES,
    AMORTISED_SECONDS,
    PHASE_QUANTITIES,
    charged_notes,
    clock_ledger,
    energy_ledger,
)

ELSEWHERE = Charged("sft_dpo/dpo@0 (d)", ("other processes took 40% of the CPU",))


class Ticks:
    """A clock that is one second further at every look."""

    def __init__(self) -> None:
        self._time = itertools.count(0.0)

    def now(self) -> float:
        return next(self._time)

    def synchronize(self) -> None:
        """Nothing is asynchronous here."""


def worked(*, charged: bool, joules: bool = True) -> tuple[Window, EnergyMeter]:
    """Five phases of a second, and of ten joules where there is a counter; 7 s and 70 J in another stage."""
    counter = itertools.count(0.0, 10.0)
    energy = (
        EnergyMeter(device="cuda", counter=lambda: next(counter)) if joules else EnergyMeter(device="cpu")
    )
    window = Window(clock=Ticks(), energy=energy.read)
    energy.start()
    if charged:
        state = WindowState(
            seconds={"reference": 7.0}, joules={"reference": 70.0} if joules else {}, peaks={}
        )
        window.charge(state, ELSEWHERE)
    for phase in ("model_load", REFERENCE_READ if charged else "reference", "audit", "train", "save"):
        with window.phase(phase):
            pass
    energy.stop()
    return window, energy


def ledger(*, charged: bool, joules: bool = True) -> dict[str, Measurement]:
    window, energy = worked(charged=charged, joules=joules)
    return {m.quantity: m for m in (*clock_ledger(window, "train"), *energy_ledger(energy, window, "train"))}


def test_a_stage_that_did_all_of_its_work_is_charged_that() -> None:
    found = ledger(charged=False)
    assert (found["wall_seconds"].value, found["reference_seconds"].value) == (4, 1)
    assert (found["energy_joules"].value, found["reference_joules"].value) == (40, 10)
    assert found["wall_seconds"].source == "clock: model_load + reference + train + save"
    assert found["reference_seconds"].source == "clock"
    assert not {AMORTISED_SECONDS, AMORTISED_JOULES, "reference_read_seconds"} & found.keys()


def test_what_another_stage_did_is_charged_whole_and_says_where_it_was_measured() -> None:
    found = ledger(charged=True)
    assert (found["wall_seconds"].value, found["reference_seconds"].value) == (10, 7)
    assert (found["energy_joules"].value, found["reference_joules"].value) == (100, 70)
    where = "sft_dpo/dpo@0 (d)"
    assert found["reference_seconds"].source == f"clock of {where}"
    for quantity in ("wall_seconds", "energy_joules", "reference_joules"):
        assert found[quantity].source.endswith(f"; reference as measured in {where}")


def test_what_was_spent_here_stands_beside_it() -> None:
    found = ledger(charged=True)
    assert (found["reference_read_seconds"].value, found[AMORTISED_SECONDS].value) == (1, 4)
    assert found[AMORTISED_SECONDS].source == "clock: model_load + train + save + reference_read"
    assert (found[AMORTISED_JOULES].value, found[AMORTISED_JOULES].unit) == (40, "J")


def test_joules_that_are_not_measured_are_absent_and_not_amortised() -> None:
    found = ledger(charged=True, joules=False)
    assert (found["energy_joules"].value, found["energy_joules"].reason) == (None, "no CUDA device")
    assert AMORTISED_JOULES not in found


def test_what_spoilt_the_other_stage_is_told_of_this_one() -> None:
    window, _ = worked(charged=True)
    assert charged_notes(window) == [
        "reference, measured in sft_dpo/dpo@0 (d): other processes took 40% of the CPU"
    ]
    assert charged_notes(worked(charged=False)[0]) == []


@pytest.mark.parametrize("quantity", [*PHASE_QUANTITIES.values(), AMORTISED_SECONDS, AMORTISED_JOULES])
def test_what_a_ledger_holds_is_a_known_quantity(quantity: str) -> None:
    assert quantity in CATALOGUE


def test_every_phase_is_told_in_words() -> None:
    assert PHASE_QUANTITIES.keys() - {"start_up"} <= DOES.keys()
