"""Several devices a stage, as settings: what is refused, and what a digest holds of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.executors.opening import opened, spreads
from harness.methods import load_method
from harness.pipeline.load import find_comparison, load_comparison, most_devices, stage_config
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


def config_file(folder: Path, **settings: Any) -> str:
    """An accelerate config, as `accelerate config` writes one."""
    written = {"compute_environment": "LOCAL_MACHINE", "num_machines": 1, "num_processes": 2, **settings}
    file = folder / "accelerate.yaml"
    file.write_text(json.dumps(written))
    return f"training.accelerate={file}"


FSDP2 = {"fsdp_version": 2, "fsdp_state_dict_type": "SHARDED_STATE_DICT"}


@pytest.mark.parametrize(
    ("settings", "parallel"),
    [
        ({"distributed_type": "MULTI_GPU"}, "ddp"),
        ({"distributed_type": "FSDP", "fsdp_config": FSDP2, "mixed_precision": "no"}, "fsdp2"),
    ],
)
def test_an_accelerate_config_says_how_many_devices_and_how(
    tmp_path: Path, settings: dict[str, Any], parallel: str
) -> None:
    one = spec(config_file(tmp_path, **settings))
    configs = [stage_config(one, stage) for arm in one.arms for stage in arm.stages]
    assert {(config.devices, config.parallel) for config in configs} == {(2, parallel)}
    own = spec("training.devices=2", f"training.parallel={parallel}")
    assert plan_comparison(one, RESOLVED).id == plan_comparison(own, RESOLVED).id


@pytest.mark.parametrize(
    ("settings", "own", "said"),
    [
        ({"distributed_type": "MULTI_GPU"}, ("training.devices=4",), "training.devices is 4, and "),
        ({"distributed_type": "FSDP", "fsdp_config": {}}, (), "fsdp_version is 1"),
        (
            {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 3}},
            (),
            "deepspeed_zero3 is not",
        ),
        ({"distributed_type": "MEGATRON_LM"}, (), "distributed_type: MEGATRON_LM is not built"),
        ({"num_machines": 2}, (), "num_machines is above 1"),
        ({"mixed_precision": "bf16"}, (), "training.precision is 'float32', and "),
        ({"mixed_precision": "fp16"}, (), "mixed_precision: fp16 is not built"),
    ],
)
def test_an_accelerate_config_that_says_otherwise_is_refused(
    tmp_path: Path, settings: dict[str, Any], own: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        spec(config_file(tmp_path, **settings), *own)
    assert said in str(refused.value)


def test_units_on_several_devices_whose_stages_have_several_are_refused(monkeypatch: Any) -> None:
    one = spec("training.devices=2", "executor.devices=2")
    with (
        pytest.raises(UserError, match="executor puts units on several devices"),
        opened(one.executor, "a test", most_devices(one)),
    ):
        pass
    monkeypatch.setenv("HARNESS_DEVICE", "0,2")
    plain = spec("training.devices=2")
    assert not spreads(plain.executor, most_devices(plain))
    assert spreads(plain.executor, 1)
