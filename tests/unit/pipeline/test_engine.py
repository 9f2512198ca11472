"""One engine for all cells of a comparison: decided at planning where it can be, by a trial elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from harness.pipeline.engine import decided, why_padded
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.model_form import ModelForm
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.rescore import rescored
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.records import EngineTrial, Plan

GPU = Resolved(device="cuda:GPU-1")
TRIAL = EngineTrial(tried="continuous", used="padded", prompts=8, new_tokens=4, tolerance=0.1)
LORA = "stages.orpo.lora.r=4"


def spec(*sets: str, **overrides: Any) -> ComparisonSpec:
    return load_comparison(find_comparison("embedded", model=None), Overrides(sets=sets, **overrides))


def scoring(plan: Plan) -> list[tuple[Any, str | None]]:
    """Engine and deciding rehearsal of each scoring stage."""
    stages = [stage for stage in plan.stages.values() if stage.kind == "evaluate"]
    return [(stage.config["generation"]["engine"], stage.needs.get("engine")) for stage in stages]


@pytest.mark.parametrize("resolved", [Resolved(), Resolved(device="cpu:a processor:2 of process 1")])
def test_on_a_cpu_auto_is_padded_as_if_that_were_asked_for(resolved: Resolved) -> None:
    plan = plan_comparison(spec(), resolved)
    assert set(scoring(plan)) == {("padded", None)}
    by_name = plan_comparison(spec("generation.engine=padded"), resolved)
    assert by_name.stages.keys() == plan.stages.keys(), "and such stages are the same"
    assert plan.stages[plan.rehearse_evaluate or ""].config["why_padded"] == "auto is padded on a CPU"


def test_on_an_accelerator_one_trial_decides_for_every_cell() -> None:
    plan = plan_comparison(spec(), GPU)
    assert set(scoring(plan)) == {("auto", plan.rehearse_evaluate)}
    assert plan.order.index(plan.rehearse_evaluate or "") < min(
        plan.order.index(cell.evaluate or "") for cell in plan.cells
    )
    assert "why_padded" not in plan.stages[plan.rehearse_evaluate or ""].config


@pytest.mark.parametrize("resolved", [Resolved(), GPU])
@pytest.mark.parametrize("engine", ["padded", "continuous", "vllm"])
def test_an_engine_by_name_is_that_of_every_cell(engine: str, resolved: Resolved) -> None:
    plan = plan_comparison(spec(f"generation.engine={engine}"), resolved)
    assert set(scoring(plan)) == {(engine, None)}
    assert plan.stages[plan.rehearse_evaluate or ""].config["generation"]["engine"] == engine, "it is tried"


def test_arms_of_several_forms_are_answered_in_padded_batches() -> None:
    """The base model in one arm's form says nothing about the other's."""
    plan = plan_comparison(spec(LORA), GPU)
    assert set(scoring(plan)) == {("padded", None)}
    assert "several forms" in plan.stages[plan.rehearse_evaluate or ""].config["why_padded"]
    alike = plan_comparison(spec("training.lora.r=4"), GPU)
    assert set(scoring(alike)) == {("auto", alike.rehearse_evaluate)}


def test_which_vllm_is_installed_matters_where_it_answers() -> None:
    installed = Resolved(optional={"vllm": "0.20"})
    by_vllm = plan_comparison(spec("generation.engine=vllm"), installed)
    packages = [s.covers.packages for s in by_vllm.stages.values() if s.kind == "evaluate" and s.covers]
    assert packages
    assert all(one["vllm"] == "0.20" for one in packages)
    plain = plan_comparison(spec(), installed)
    assert all("vllm" not in s.covers.packages for s in plain.stages.values() if s.covers)


def test_later_scores_are_answered_as_the_first_ones_were() -> None:
    plan = plan_comparison(spec(), GPU)
    more = rescored(plan, spec(score=["rubric"]), GPU, "2")
    assert set(scoring(more.plan)) == {("auto", plan.rehearse_evaluate)}
    assert more.new[1] == plan.rehearse_evaluate
    on_cpu = plan_comparison(spec(), Resolved())
    assert set(scoring(rescored(on_cpu, spec(score=["rubric"]), Resolved(), "2").plan)) == {("padded", None)}


def test_later_scores_try_an_engine_where_the_first_ones_did_not() -> None:
    plan = plan_comparison(spec("generation.engine=padded"), GPU)
    more = rescored(plan, spec(score=["rubric"]), GPU, "2")
    trial = more.new[1]
    assert more.plan.stages[trial].kind == "rehearse_evaluate"
    assert trial != plan.rehearse_evaluate
    assert {
        more.plan.stages[d].needs.get("engine")
        for d in more.new[2:]
        if more.plan.stages[d].kind == "evaluate"
    } == {trial}


def test_what_a_trial_decides() -> None:
    auto, named = GenerationSpec(), GenerationSpec(engine="continuous")
    assert decided(auto, TRIAL).engine == "padded"
    assert decided(auto, TRIAL.model_copy(update={"used": "continuous"})).engine == "continuous"
    assert decided(auto, None).engine == "padded", "nothing was asked, so nothing was tried"
    assert decided(named, TRIAL) == named
    assert why_padded(named, "cpu", [ModelForm(), ModelForm(adapters=True)]) is None
    assert why_padded(auto, "cuda:GPU-1", [ModelForm(), ModelForm()]) is None
