"""Several devices a stage, as settings: what is refused, and what a digest holds of them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UserError
from harness.methods import load_method
from harness.pipeline.load import find_comparison, load_comparison, most_devices
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Reach, Resolved
from harness.pipeline.spec import ComparisonSpec

RESOLVED = Resolved(reach={"stages.child": Reach(packages={"torch": "2.13.0"})})


def spec(*sets: str) -> ComparisonSpec:
    return load_comparison(find_comparison("embedded", model=None), Overrides(sets=sets))


def digests(*sets: str) -> set[str]:
    plan = plan_comparison(spec(*sets), RESOLVED)
    return {digest for digest, stage in plan.stages.items() if stage.kind == "train"}


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            ("training.batch_size=32", "training.micro_batch_size=8", "training.devices=3"),
            "batch_size 32 is not a multiple of micro_batch_size 8 times devices 3",
        ),
        (("training.devices=0",), "devices is 0; give a number above 0"),
        (("training.devices=2", "training.parallel=fsdp"), "parallel is 'fsdp'; give one of 'ddp', 'fsdp2'"),
        (
            ("training.devices=2", "training.parallel=deepspeed_zero3"),
            "parallel: deepspeed_zero3 is not built; ddp and fsdp2 are",
        ),
        (
            ("training.devices=2", "stages.orpo.implementation=trl"),
            "implementation: trl is TRL's own loop",
        ),
        (
            ("training.devices=2", "training.precision=bfloat16_stochastic"),
            "bfloat16_stochastic rounds at random",
        ),
        (
            ("training.devices=2", "training.parallel=fsdp2", "training.router_aux_loss=0.1"),
            "router_aux_loss with parallel: fsdp2 is not built",
        ),
    ],
)
def test_what_several_devices_cannot_do_is_said_before_anything_runs(
    sets: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        spec(*sets)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("method", "own"), [("kto", {"beta": 0.1}), ("reward_model", {}), ("rloo", {"beta": 0.1})]
)
def test_trls_own_loops_have_one_device(method: str, own: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"learning_rate": 0.1, "devices": 2, **own}
    with pytest.raises(
        ValueError, match=r"devices: 2 cannot be had here \(implementation: trl is TRL's own loop"
    ):
        load_method(method).Config.model_validate(settings)


def test_one_device_is_the_stage_that_it_was_however_it_would_be_shared() -> None:
    plain = digests()
    assert digests("training.devices=1", "training.parallel=fsdp2") == plain
    two, sharded = digests("training.devices=2"), digests("training.devices=2", "training.parallel=fsdp2")
    assert len(plain | two | sharded) == len(plain) + len(two) + len(sharded)
    config = next(iter(plan_comparison(spec(), RESOLVED).stages.values())).config
    assert "devices" not in str(config)


def test_the_most_devices_of_any_stage_are_locked() -> None:
    assert most_devices(spec()) == 1
    assert most_devices(spec("stages.dpo.devices=2")) == 2
