"""Arms whose stages start from another than the one before, or read a further one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved

RESOLVED = Resolved()
STAGES = "[{method: sft}, {method: reward_model}, {method: rloo, from: sft}]"


def rlhf(**overrides: Any) -> Any:
    return load_comparison(find_comparison("rlhf", model=None), Overrides(**overrides))


def own(tmp_path: Path, stages: str) -> Any:
    """The comparison with an arm of these stages alone."""
    arm = tmp_path / "mine.yaml"
    arm.write_text(f"kind: arm\nname: mine\nstages: {stages}\n")
    return rlhf(arms=[str(arm)])


def test_rloo_starts_from_sft_and_reads_the_reward_model() -> None:
    plan = plan_comparison(rlhf(seeds="1"), RESOLVED)
    cell = next(c for c in plan.cells if c.arm == "sft_rlhf")
    sft, reward, rloo = cell.stages
    assert plan.stages[reward].needs == {"prepared": plan.prepare, "model": sft}
    assert plan.stages[rloo].needs == {"prepared": plan.prepare, "model": sft, "reward_model": reward}
    assert plan.stages[cell.evaluate or ""].needs["model"] == rloo
    shared = {c.stages[0] for c in plan.cells}
    assert shared == {sft}, "SFT is one stage, whatever starts from it"
    rehearsed = {plan.stages[d].config["stage"]: plan.stages[d] for d in plan.rehearsals}
    assert rehearsed["rloo"].needs == {"prepared": plan.prepare}


def test_a_changed_reward_makes_another_rloo_and_another_policy_leaves_the_reward_alone() -> None:
    def stages(*sets: str) -> list[str]:
        plan = plan_comparison(rlhf(seeds="1", sets=sets), RESOLVED)
        return next(c.stages for c in plan.cells if c.arm == "sft_rlhf")

    before = stages()
    reward = stages("stages.reward_model.learning_rate=0.1")
    assert [a == b for a, b in zip(before, reward, strict=True)] == [True, False, False]
    policy = stages("stages.rloo.beta=0.2")
    assert [a == b for a, b in zip(before, policy, strict=True)] == [True, True, False]


def test_a_stage_without_from_is_written_as_it_was() -> None:
    stages = rlhf().model_dump(mode="json", by_alias=True)["arms"][2]["stages"]
    assert [stage.get("from") for stage in stages] == [None, None, "sft"]
    assert ["from" in stage for stage in stages] == [False, False, True]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (STAGES.replace("from: sft", "from: stf"), r'unknown stage of arm mine "stf"; did you mean "sft"\?'),
        (
            STAGES.replace("from: sft", "from: rloo"),
            r"rloo of arm mine starts from rloo, which does not come",
        ),
        (
            STAGES.replace("method: reward_model", "method: reward_model, from: rloo"),
            r"reward_model of arm mine starts from rloo, which does not come before it",
        ),
        (STAGES.replace(", from: sft", ""), r"starts from reward_model, which trains a reward and no policy"),
        (
            STAGES.replace("from: sft", "from: sft, config: {reward_model: sft}"),
            r"reads sft, which trains a policy and no reward; write reward_model: and a stage",
        ),
        (
            STAGES.replace("from: sft", "from: sft, config: {reward_model: reward}"),
            r'unknown stage of arm mine "reward"; did you mean "reward_model"\?',
        ),
        ("[{method: sft}, {method: rloo}]", r'unknown stage of arm mine "reward_model"'),
        ("[{method: sft}, {method: reward_model}]", r"arm mine ends in reward_model, which answers nothing"),
        (
            STAGES.replace("method: sft}", "method: sft, config: {lora: {r: 4}}}"),
            r"reward_model of arm mine starts from full weights, and sft trains adapters; train sft without",
        ),
    ],
)
def test_what_no_arm_can_be(tmp_path: Path, stages: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        own(tmp_path, stages)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("stages.rloo.lora={r: 4}", r"lora cannot be had here: this stage trains full weights"),
        ("stages.rloo.num_generations=1", r"stages.rloo.num_generations is 1; give a number of at least 2"),
        ("stages.rloo.implementation=matched", r"implementation is 'matched'; give 'trl'"),
        ("stages.reward_model.early_stopping={patience: 1}", r"early_stopping cannot be had here"),
        ("training.packing=on", r"packing: on cannot be kept \(implementation: trl\)"),
        ("stages.rloo.precision=bfloat16_stochastic", r"bfloat16_stochastic cannot be had here"),
    ],
)
def test_settings_that_only_the_shared_trainer_has(sets: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rlhf(sets=(sets,))
