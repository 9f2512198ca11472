"""Reuse and the parity audit never contradict each other: what may not be mixed is not reused."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import pytest
from synthetic import ENVIRONMENT

from harness.pipeline._parity_packages import installed_packages, probed_pairs
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import Environment, Plan, StageResult, TrainFacts
from harness.running import packages
from harness.running.resolve import resolve

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides(seeds="1"))


class Machine:
    """What is installed; stages that ran on it record it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.changed: dict[str, str] = {}
        real = metadata.version
        monkeypatch.setattr(packages.metadata, "version", lambda name: self.changed.get(name) or real(name))

    def plan(self) -> Plan:
        return plan_comparison(SPEC, resolve(SPEC))

    def run(self, plan: Plan, results: dict[str, StageResult]) -> None:
        """Run the training stages that are not finished, as the child records them."""
        for digest, stage in plan.stages.items():
            if stage.kind == "train" and digest not in results:
                assert stage.covers is not None
                results[digest] = _result(digest, stage.name, _environment(stage.covers.packages))


def _environment(versions: Mapping[str, str]) -> Environment:
    return ENVIRONMENT.model_copy(
        update={"versions": dict(versions), "python": versions["python"], "lock_digest": "differs"}
    )


def _result(digest: str, name: str, environment: Environment) -> StageResult:
    return StageResult(
        digest=digest,
        kind="train",
        name=name,
        seed=0,
        started_at="",
        finished_at="",
        environment=environment,
        facts=TrainFacts(),
    )


def training(plan: Plan) -> set[str]:
    return {digest for digest, stage in plan.stages.items() if stage.kind == "train"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_an_unrelated_package_neither_runs_nor_stops_anything(machine: Machine) -> None:
    before = machine.plan()
    results: dict[str, StageResult] = {}
    machine.run(before, results)
    machine.changed = {"cowsay": "6.1", "lm-eval": "99.0", "mlflow": "99.0"}
    after = machine.plan()
    assert training(after) == training(before), "no training stage runs again"
    check = installed_packages(after, results, trained=True)
    assert (check.equal, "torch" in check.values, "lm-eval" in check.values) == (True, True, False)


def test_a_package_that_training_uses_runs_every_stage_again_so_that_none_are_mixed(
    machine: Machine,
) -> None:
    before = machine.plan()
    results: dict[str, StageResult] = {}
    machine.run(before, results)
    machine.changed = {"torch": "99.0"}
    after = machine.plan()
    assert not training(after) & training(before)
    machine.run(after, results)
    check = installed_packages(after, results, trained=True)
    assert (check.equal, check.values["torch"]) == (True, "99.0")


def test_a_package_that_changes_while_a_run_goes_on_is_found(machine: Machine) -> None:
    plan = machine.plan()
    results: dict[str, StageResult] = {}
    machine.run(plan, results)
    last = list(results)[-1]
    versions = {**results[last].environment.versions, "torch": "99.0"}
    results[last] = results[last].model_copy(update={"environment": _environment(versions)})
    check = installed_packages(plan, results, trained=True)
    assert check.equal is False
    assert "torch 99.0" in check.detail


def test_what_was_not_recorded_is_unknown(machine: Machine) -> None:
    plan = machine.plan()
    results: dict[str, StageResult] = {}
    machine.run(plan, results)
    bare = ENVIRONMENT.model_copy(update={"versions": {}})
    results = {d: r.model_copy(update={"environment": bare}) for d, r in results.items()}
    assert installed_packages(plan, results, trained=True).equal is None
    old = plan.model_copy(
        update={"stages": {d: s.model_copy(update={"covers": None}) for d, s in plan.stages.items()}}
    )
    assert installed_packages(old, results, trained=True).equal is None


def test_probes_of_reused_stages_are_told_from_new_ones(machine: Machine) -> None:
    plan = machine.plan()
    results: dict[str, StageResult] = {}
    machine.run(plan, results)
    now: Any = next(iter(training(plan)))
    covers = plan.stages[now].covers
    assert covers is not None
    same = dict.fromkeys(results, covers.beside["test pairs"])
    assert probed_pairs(plan, results, same).equal is True
    earlier = probed_pairs(plan, results, dict.fromkeys(results, "earlier"))
    assert (earlier.equal, "earlier test split" in earlier.detail) == (True, True)
    mixed = probed_pairs(plan, results, {**same, now: "earlier"})
    assert (mixed.equal, "earlier" in mixed.detail) == (False, True)
    assert probed_pairs(plan, results, {}).equal is None
