"""What `harness cost` makes of the rehearsals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from synthetic import foretold

from harness.commands.cost import arm_costs
from harness.records import Prediction


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
