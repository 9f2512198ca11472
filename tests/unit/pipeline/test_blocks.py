"""A plan in units: blocks whole, everything once, nothing before what it needs."""

from __future__ import annotations

import pytest

from harness.pipeline.blocks import PHASES, Unit, units_in, units_of
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.records import Plan

RESOLVED = Resolved(judged=frozenset({"alpaca_eval"}), scored=frozenset({"alpaca_eval"}))


def planned(*sets: str, seeds: str = "3") -> Plan:
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(seeds=seeds, sets=sets))
    return plan_comparison(spec, RESOLVED)


def names(plan: Plan, unit: Unit) -> list[str]:
    return [plan.stages[digest].name for digest in unit.stages]


PLANS = {
    "default": planned(),
    "repeats": planned("repeats=2"),
    "adapters": planned("training.lora.r=4"),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_stage_is_in_one_unit_and_after_what_it_needs(plan: Plan) -> None:
    units = units_of(plan)
    assert sorted(d for unit in units for d in unit.stages) == sorted(plan.order)
    phases = [PHASES.index(unit.phase) for unit in units]
    assert phases == sorted(phases)
    done: set[str] = set()
    for unit in units:
        for digest in unit.stages:
            assert set(plan.stages[digest].needs.values()) <= done
            done.add(digest)
    before: list[str] = []
    for unit in units:
        assert set(unit.needs) <= set(before)
        before.append(unit.name)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_block_is_whole_in_the_order_of_its_arms(plan: Plan) -> None:
    for unit in units_in(units_of(plan), "train"):
        cells = [cell for cell in plan.cells if cell.seed == unit.seed]
        assert {d for cell in cells for d in cell.stages} == set(unit.stages)
        assert list(unit.stages) == [d for d in plan.order if d in unit.stages]


def test_the_units_of_the_default() -> None:
    plan = PLANS["default"]
    units = units_of(plan)
    trained = units_in(units, "train")
    assert [unit.name for unit in trained] == ["train seed 0", "train seed 1", "train seed 2"]
    assert [unit.needs for unit in trained] == [("prepare",)] * 3
    scored = units_in(units, "evaluate")
    assert [unit.seed for unit in scored] == [None, 0, 1, 2]
    assert names(plan, scored[0]) == ["base/evaluate"]
    assert "train seed 1" in scored[2].needs
    assert [unit.name for unit in units_in(units, "judge")] == ["judge"]


def test_rehearsals_that_go_on_from_adapters_stay_together() -> None:
    alone = units_in(units_of(PLANS["default"]), "rehearse")
    assert all(len(unit.stages) == 1 for unit in alone)
    chained = [names(PLANS["adapters"], u) for u in units_in(units_of(PLANS["adapters"]), "rehearse")]
    assert max(len(unit) for unit in chained) == 2
