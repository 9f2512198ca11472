"""Steps that a budget's axis leads to, by hand-computed costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import foretold

from harness.errors import UserError
from harness.pipeline.budget import matched, needs_matching
from harness.pipeline.load import find_comparison, load_comparison, stage_config
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.records import Prediction

RESOLVED = Resolved()


def spec_with(*sets: str, arms: list[str] | None = None) -> Any:
    return load_comparison(find_comparison("embedded", model=None), Overrides(arms=arms, sets=sets))


def prediction(steps: int, flops: int, seconds: float, *, before: int = 0, fixed: float = 0.0) -> Prediction:
    parts = {"model_load": fixed, "reference": 0.0, "save": 0.0, "train": seconds - fixed}
    return foretold(
        steps=steps,
        flops=flops,
        flops_before=before,
        seconds=seconds,
        seconds_of_parts=parts,
        tokens_real=steps * 10,
    )


COSTS = {
    "sft": prediction(100, 300, 32.0, fixed=2.0),
    "dpo": prediction(100, 800, 83.0, fixed=3.0),
    "orpo": prediction(100, 600, 62.0, fixed=2.0),
}


def steps_of(spec: Any, costs: Any = None) -> dict[tuple[str, str], int | None]:
    plan = plan_comparison(spec, RESOLVED)
    found = {d: (costs or COSTS)[plan.stages[d].config["stage"]] for d in plan.rehearsals}
    made = matched(spec, plan, found)
    return {
        (arm.name, stage.stage_name): stage_config(made, stage).max_steps
        for arm in made.arms
        for stage in arm.stages
    }


def test_orpo_gets_the_flops_of_sft_and_dpo() -> None:
    found = steps_of(spec_with("budget.axis=flops"))
    assert found[("orpo", "orpo")] == round(100 * 1100 / 600)
    assert found[("sft", "sft")] == round(100 * 1100 / 300)
    assert found[("sft_dpo", "sft")] is None
    assert found[("sft_dpo", "dpo")] is None


def test_seconds_leave_out_what_does_not_grow_with_steps() -> None:
    found = steps_of(spec_with("budget.axis=seconds"))
    assert found[("orpo", "orpo")] == round(100 * (115 - 2) / 60)


def test_an_arm_of_two_stages_is_lengthened_by_one_factor() -> None:
    found = steps_of(spec_with("budget.axis=flops", "budget.of=orpo"))
    assert found[("sft_dpo", "sft")] == found[("sft_dpo", "dpo")] == round(100 * 600 / 1100)


def test_a_precomputed_reference_is_paid_before_the_first_step() -> None:
    costs = {**COSTS, "dpo": prediction(100, 800, 83.0, before=200)}
    found = steps_of(spec_with("budget.axis=flops", "budget.of=orpo"), costs)
    assert found[("sft_dpo", "dpo")] == round(100 * (600 - 200) / 900)


def test_what_is_paid_before_the_first_step_may_be_too_much() -> None:
    costs = {**COSTS, "dpo": prediction(100, 800, 83.0, before=700)}
    with pytest.raises(UserError, match=r"arm sft_dpo spends 700 flops before its first step"):
        steps_of(spec_with("budget.axis=flops", "budget.of=orpo"), costs)


RENAMED = """kind: arm
name: renamed
stages:
  - {method: sft, name: clone}
  - {method: sft, name: again}
  - {method: dpo, name: prefer}
"""


@pytest.mark.parametrize(
    ("of", "other", "factor"), [("sft_dpo", "renamed", 1100 / 1400), ("renamed", "sft_dpo", 1400 / 1100)]
)
def test_a_job_may_have_other_names_in_other_arms(tmp_path: Path, of: str, other: str, factor: float) -> None:
    file = tmp_path / "renamed.yaml"
    file.write_text(RENAMED)
    sets = [f"stages.{name}={{learning_rate: 0.003}}" for name in ("sft", "clone", "again")]
    sets += [f"stages.{name}={{learning_rate: 0.0004, beta: 0.1}}" for name in ("dpo", "prefer")]
    spec = spec_with("budget.axis=flops", f"budget.of={of}", *sets, arms=["sft_dpo", str(file)])
    plan = plan_comparison(spec, RESOLVED)
    assert [plan.stages[d].config["stage"] for d in plan.rehearsals] == ["sft", "dpo"]
    steps = steps_of(spec)
    assert {key[1] for key in steps} == {"sft", "dpo", "clone", "again", "prefer"}
    assert {value for (arm, _), value in steps.items() if arm == other} == {round(100 * factor)}
    assert {value for (arm, _), value in steps.items() if arm == of} == {None}


def test_an_unknown_arm_of_a_budget_is_named() -> None:
    with pytest.raises(UserError, match=r'unknown arm "sft_dp"; did you mean "sft_dpo"'):
        steps_of(spec_with("budget.axis=flops", "budget.of=sft_dp"))


@pytest.mark.parametrize(("axis", "needed"), [("epochs", False), ("trials", False), ("tokens", True)])
def test_which_axes_become_steps(axis: str, needed: bool) -> None:
    assert needs_matching(spec_with(f"budget.axis={axis}")) is needed


def test_rehearsals_are_one_a_distinct_stage_and_adapters_follow_one_another() -> None:
    arms = ["sft", "sft_dpo", "orpo"]
    full = plan_comparison(spec_with(arms=arms), RESOLVED)
    assert [full.stages[d].config["stage"] for d in full.rehearsals] == ["sft", "dpo", "orpo"]
    assert [full.stages[d].config["arms"] for d in full.rehearsals] == [
        ["sft", "sft_dpo"],
        ["sft_dpo"],
        ["orpo"],
    ]
    assert all("model" not in full.stages[d].needs for d in full.rehearsals)
    lora = plan_comparison(spec_with("training.lora.r=4", arms=arms), RESOLVED)
    sft, dpo, orpo = (lora.stages[d] for d in lora.rehearsals)
    assert dpo.needs["model"] == sft.digest
    assert "model" not in orpo.needs


def test_which_arms_share_a_rehearsal_does_not_change_it() -> None:
    both = plan_comparison(spec_with(arms=["sft", "sft_dpo"]), RESOLVED)
    alone = plan_comparison(spec_with(arms=["sft_dpo"]), RESOLVED)
    assert both.rehearsals == alone.rehearsals


def test_repeats_train_again_in_blocks_of_their_own_and_are_not_scored() -> None:
    plan = plan_comparison(spec_with("repeats=3", arms=["sft_dpo", "orpo"]), RESOLVED)
    once = plan_comparison(spec_with(arms=["sft_dpo", "orpo"]), RESOLVED)
    assert len(plan.blocks) == 3 * len(once.blocks)
    assert all(sorted(b.split("@")[0] for b in block) == ["orpo", "sft_dpo"] for block in plan.blocks)
    assert len({tuple(b.split("@")[0] for b in block) for block in plan.blocks}) == 2
    cells = [c for c in plan.cells if c.arm == "orpo" and c.seed == 0]
    assert [c.repeat for c in cells] == [0, 1, 2]
    assert len({c.stages[0] for c in cells}) == 3
    assert [c.evaluate is None for c in cells] == [False, True, True]
    assert set(d for c in once.cells for d in c.stages) <= set(plan.order)
