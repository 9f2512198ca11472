"""Micro-batches of half the size, in every arm, at the same effective batch."""

from __future__ import annotations

import pytest

from harness.pipeline.halving import halved
from harness.pipeline.load import find_comparison, load_comparison, stage_config
from harness.pipeline.overrides import Overrides
from harness.pipeline.spec import ComparisonSpec


def spec(*sets: str) -> ComparisonSpec:
    return load_comparison(find_comparison("embedded", model=None), Overrides(sets=sets))


def sizes(one: ComparisonSpec) -> dict[str, tuple[int, int]]:
    """Stage -> effective batch and micro-batch."""
    configs = {
        f"{arm.name}/{stage.stage_name}": stage_config(one, stage) for arm in one.arms for stage in arm.stages
    }
    return {name: (config.batch_size, config.micro_batch_size) for name, config in configs.items()}


@pytest.mark.parametrize(
    ("batch", "micro", "then"), [(32, 16, 8), (24, 12, 6), (18, 9, 3), (6, 3, 1), (2, 2, 1)]
)
def test_every_stage_has_the_largest_divisor_up_to_a_half(batch: int, micro: int, then: int) -> None:
    one = spec(f"training.batch_size={batch}", f"training.micro_batch_size={micro}")
    smaller = halved(one)
    assert smaller is not None
    assert set(sizes(smaller).values()) == {(batch, then)}
    assert (one.halvings, smaller.halvings) == (0, 1)


def test_every_device_keeps_as_many_micro_batches_of_a_step() -> None:
    smaller = halved(spec("training.batch_size=12", "training.micro_batch_size=3", "training.devices=4"))
    assert smaller is not None
    assert set(sizes(smaller).values()) == {(12, 1)}


def test_a_stage_of_its_own_size_is_halved_too() -> None:
    smaller = halved(spec("stages.dpo.micro_batch_size=4"))
    assert smaller is not None
    assert sizes(smaller)["sft_dpo/dpo"] == (32, 2)
    assert sizes(smaller)["orpo/orpo"] == (32, 8)


def test_one_pair_is_the_least() -> None:
    assert halved(spec("training.micro_batch_size=1")) is None
