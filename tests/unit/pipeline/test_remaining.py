"""What is left of a plan once stages failed: whole blocks of the arms that finished somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.remaining import Remaining, remaining
from harness.pipeline.resolved import Resolved
from harness.records import FailedStage, Plan

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides(seeds="3"))
RESOLVED = Resolved(judged=frozenset({"alpaca_eval"}))
PLAN = plan_comparison(SPEC, RESOLVED)
REPEATED = SPEC.model_copy(update={"repeats": 2})


def left(*names: str, plan: Plan = PLAN) -> Remaining | None:
    """What remains where the stages of these names failed, with all that is made from them."""
    failed = {d: s for d, s in plan.stages.items() if s.name in names}
    assert len(failed) == len(names)
    gone = set(failed)
    for digest in plan.order:
        if gone & set(plan.stages[digest].needs.values()):
            gone.add(digest)
    noted = {
        d: FailedStage(digest=d, name=s.name, cause="diverged", log="log.txt") for d, s in failed.items()
    }
    finished = {d for d in plan.order if d not in gone and plan.stages[d].kind != "judge"}
    return remaining(plan, SPEC, RESOLVED, finished, noted)


def of(plan: Plan) -> tuple[list[str], list[int]]:
    return [arm["name"] for arm in plan.spec["arms"]], plan.spec["seeds"]


def whys(one: Remaining) -> Mapping[str, str]:
    return {f"{cell.arm}@{cell.seed}": cell.why for cell in one.missing}


def test_a_seed_at_which_one_arm_failed_is_left_out_of_all() -> None:
    one = left("orpo/orpo@1")
    assert one is not None
    assert of(one.plan) == (["sft", "sft_dpo", "orpo"], [0, 2])
    assert {(cell.arm, cell.seed) for cell in one.plan.cells} == {
        (arm, seed) for arm in ("sft", "sft_dpo", "orpo") for seed in (0, 2)
    }
    assert whys(one) == {
        "sft@1": "finished, but orpo did not at this seed",
        "sft_dpo@1": "finished, but orpo did not at this seed",
        "orpo@1": "orpo/orpo@1 diverged",
    }
    assert [cell.finished for cell in one.missing] == [True, True, False]
    assert all("@1" not in name for block in one.plan.blocks for name in block)


def test_the_judge_compares_the_cells_that_are_left() -> None:
    one = left("orpo/orpo@1")
    assert one is not None
    assert one.plan.judge is not None
    assert one.plan.judge != PLAN.judge
    judged = {role for role in one.plan.stages[one.plan.judge].needs if role.startswith("cell:")}
    cells = {f"cell:{cell.arm}@{cell.seed}" for cell in one.plan.cells}
    assert judged == {"cell:base", *cells}
    assert one.plan.order[-1] == one.plan.judge
    assert set(one.plan.order) < set(one.plan.stages), "what failed stays known by its name"
    assert PLAN.judge not in one.plan.stages


def test_an_arm_that_finished_nowhere_is_left_out() -> None:
    one = left("orpo/orpo@0", "orpo/orpo@1", "orpo/orpo@2")
    assert one is not None
    assert of(one.plan) == (["sft", "sft_dpo"], [0, 1, 2])
    kept = {one.plan.stages[digest].config["stage"] for digest in one.plan.rehearsals}
    assert kept == {"sft", "dpo"}


def test_where_no_seed_has_all_arms_the_arm_with_fewest_seeds_goes() -> None:
    one = left("orpo/orpo@0", "sft_dpo/dpo@1", "orpo/orpo@2")
    assert one is not None
    assert of(one.plan) == (["sft", "sft_dpo"], [0, 2])
    assert whys(one)["orpo@1"] == "finished, at no seed at which the other arms did"


def test_a_failed_scoring_costs_its_cell_and_the_base_model_its_own() -> None:
    one = left("orpo/evaluate@2", "base/evaluate")
    assert one is not None
    assert of(one.plan)[1] == [0, 1]
    assert one.plan.base_evaluate is None
    assert one.plan.judge is not None
    assert "cell:base" not in one.plan.stages[one.plan.judge].needs


def test_a_repeat_stays_or_goes_with_its_block() -> None:
    plan = plan_comparison(REPEATED, RESOLVED)
    one = left("orpo/orpo@1#1", plan=plan)
    assert one is not None
    assert of(one.plan)[1] == [0, 1, 2]
    gone = {(cell.arm, cell.seed, cell.repeat) for cell in one.missing}
    assert gone == {(arm, 1, 1) for arm in ("sft", "sft_dpo", "orpo")}


def test_nothing_may_be_left() -> None:
    training = [stage.name for stage in PLAN.stages.values() if stage.kind == "train"]
    assert left(*training) is None
