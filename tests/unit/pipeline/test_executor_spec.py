"""`executor:` as a user writes it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UserError
from harness.executors import Place
from harness.pipeline.executor_spec import LocalSpec, RaySpec
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.running import resolve as module
from harness.running.resolve import resolve


def spec_with(*sets: str) -> ComparisonSpec:
    return load_comparison(find_comparison("embedded", model=None), Overrides(sets=sets))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("executor=local", LocalSpec()),
        ("executor.devices=all", LocalSpec(devices="all")),
        ("executor=ray", RaySpec()),
        ("executor={name: ray, address: local, cpus: 1}", RaySpec(address="local", cpus=1)),
    ],
)
def test_a_name_settings_or_both(written: str, meant: Any) -> None:
    assert spec_with(written).executor == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("executor=rya", "executor: no executor rya; give one of local, ray"),
        ("executor.devices=0", "executor.devices is 0; give one of 'all', or give a number of at least 1"),
        ("executor={name: ray, devices: 2}", "unknown key executor.devices"),
        ("executor={name: ray, adress: auto}", "unknown key executor.adress"),
    ],
)
def test_a_mistake_is_one_message(written: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        spec_with(written)
    assert message in str(raised.value)


def test_digests_hold_the_kind_of_device_and_what_it_computes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [Place(node, "cpu:x:3", f"core {node}", {"OMP_NUM_THREADS": "3"}) for node in "ab"]
    monkeypatch.setattr(module, "places_of", lambda executor: places)
    local, ray = spec_with("executor.devices=2"), spec_with("executor=ray")
    found = resolve(local)
    assert (found.device, found.environment["OMP_NUM_THREADS"]) == ("cpu:x:3", "3")
    assert plan_comparison(local, found).id == plan_comparison(ray, resolve(ray)).id
    alone = spec_with()
    assert resolve(alone).device != "cpu:x:3"
    assert plan_comparison(alone, found).id == plan_comparison(local, found).id, "it is no part of a plan"
