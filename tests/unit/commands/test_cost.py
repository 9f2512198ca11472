"""What `harness cost` makes of the rehearsals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from synthetic import foretold

from harness.commands.cost import arm_costs
from harness.records import Prediction
from harness.running.forecast import on_devices


def test_an_arm_costs_the_sum_of_its_stages_and_the_largest_memory() -> None:
    def stage(name: str, arms: list[str]) -> Any:
        return SimpleNamespace(config={"stage": name, "arms": arms})

    def of(seconds: float, half: float, flops: int, growth: int) -> Prediction:
        return foretold(seconds=seconds, seconds_high=seconds + half, flops=flops, host_growth_bytes=growth)

    plan: Any = SimpleNamespace(stages={"a": stage("sft", ["sft", "both"]), "b": stage("dpo", ["both"])})
    found = arm_costs(plan, {"a": of(10, 3, 5, 7), "b": of(30, 4, 15, 6)}, reference="both")
    assert (found["both"]["seconds"], found["both"]["flops"]) == (40, 20)
    assert (found["both"]["seconds_low"], found["both"]["seconds_high"]) == (35, 45)
    assert found["both"]["memory"] == {"host_growth_bytes": 7}
    assert found["sft"]["relative"] == 0.25


def test_seconds_of_several_devices_are_those_of_all_of_them() -> None:
    plan: Any = SimpleNamespace(stages={"a": SimpleNamespace(config={"stage": "sft", "arms": ["sft"]})})
    prediction = foretold(seconds=10, seconds_high=12, flops=5, devices=4)
    found = arm_costs(plan, {"a": prediction}, reference="sft")["sft"]
    assert (found["seconds"], found["seconds_low"], found["seconds_high"]) == (40, 32, 48)
    assert found["devices"] == 4
    assert on_devices(prediction) == " x 4 = 40 device-seconds"
    assert on_devices(foretold(seconds=10)) == ""
