"""The methods paragraph says what the record says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view

from harness.evidence.documents.methods_text import methods
from harness.evidence.findings import findings
from harness.evidence.view import ComparisonView
from harness.records import HeadFacts, HeadKind, Implementation, Score, StageUse, TrainFacts

STOCK = {"sft": ["sft"], "orpo": ["orpo"], "orpo_stock": ["stock"]}


def paragraph(view: ComparisonView) -> str:
    return " ".join(statement.text for statement in methods(findings(view))[0])


def keys(view: ComparisonView) -> list[str]:
    return [reference.key for reference in methods(findings(view))[1]]


def recorded(view: ComparisonView, **facts: Any) -> ComparisonView:
    """The view with facts of every training stage replaced."""
    results = {
        digest: stage.model_copy(update={"facts": stage.facts.model_copy(update=facts)})
        if isinstance(stage.facts, TrainFacts)
        else stage
        for digest, stage in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))


def with_spec(view: ComparisonView, **spec: Any) -> ComparisonView:
    plan = view.record.plan.model_copy(update={"spec": {**view.record.plan.spec, **spec}})
    return replace(view, record=view.record.model_copy(update={"plan": plan}))


def test_matched_methods_are_said_to_share_what_they_share() -> None:
    text = paragraph(make_view())
    assert "SFT, DPO and ORPO ran as matched methods" in text
    assert "the code differs in the loss alone" in text
    assert "TRL" not in text


def test_one_matched_method_differs_from_no_other() -> None:
    text = paragraph(make_view(arms={"orpo": ["orpo"], "orpo_whole": ["whole"]}, cost_reference="orpo"))
    assert "ORPO ran as matched methods" in text
    assert "differs in the loss" not in text


def test_stock_trainers_are_named_by_their_arm_and_cited() -> None:
    view = make_view(arms=STOCK, cost_reference="orpo")
    text = paragraph(view)
    assert "SFT and ORPO of orpo ran as matched methods" in text
    assert "ORPO of orpo_stock ran on TRL's own trainer." in text
    assert "vonwerra2020" in keys(view)
    assert "vonwerra2020" not in keys(make_view())
    own = paragraph(recorded(make_view(), implementation=Implementation.OWN))
    assert "SFT, DPO and ORPO ran on a trainer of its own." in own
    assert "matched" not in own


def test_what_was_not_recorded_is_not_said() -> None:
    text = paragraph(recorded(make_view(), implementation=None, head=None, nll_scope=None, reference=None))
    for word in ("matched", "Log-probs", "NLL", "Reference", "trainer"):
        assert word not in text
    assert "Answers are" not in text
    answered = paragraph(with_spec(make_view(), generation={"temperature": 0.0, "max_new_tokens": 32}))
    assert "Answers are greedy, of at most 32 tokens." in answered
    drawn = paragraph(with_spec(make_view(), generation={"temperature": 0.7, "max_new_tokens": 32}))
    assert "Answers are drawn at temperature 0.7" in drawn


def test_heads_and_references_are_told_as_they_were() -> None:
    assert "Log-probs are computed at scored positions only, in chunks (SFT, DPO and ORPO)." in paragraph(
        make_view()
    )
    full = HeadFacts(kind=HeadKind.FULL_LOGITS, reason="differs from the model's own")
    assert "Log-probs are computed from full logits" in paragraph(recorded(make_view(), head=full))
    told = "Reference log-probs: in the loop, a frozen copy (DPO of sft_dpo); computed before training "
    assert f"{told}(DPO of sft_dpo_precomputed)." in paragraph(make_view(full=True))


def test_adapters_are_told_where_they_were_trained() -> None:
    assert "LoRA" not in paragraph(make_view())
    adapted = recorded(make_view(), tuning="lora")
    assert "ORPO, with LoRA adapters" in paragraph(adapted)
    assert "hu2022" in keys(adapted)


def test_data_and_seeds_of_their_own_are_told() -> None:
    view = make_view()
    prepared = view.prepared.model_copy(update={"sft_data": {"sft_dpo": "ultrachat"}})
    prep = view.record.results["prep"].model_copy(update={"facts": prepared})
    record = view.record.model_copy(update={"results": {**view.record.results, "prep": prep}})
    assert "the first stage of sft_dpo trains on ultrachat instead" in paragraph(replace(view, record=record))
    arms = [{"name": "sft"}, {"name": "sft_dpo"}, {"name": "orpo", "seed_offset": 5}]
    assert "orpo trains at seeds 5 further on" in paragraph(with_spec(view, arms=arms))


@pytest.mark.parametrize("margin", [None, 0.05])
def test_margins_and_their_tests_are_told_where_there_are_some(margin: float | None) -> None:
    question = {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": margin}
    view = with_spec(make_view(), questions=[question])
    text = paragraph(view)
    assert "One closed test adjusts all that is said of the 1 registered question" in text
    assert ("margins were set before the run" in text) == (margin is not None)
    assert ("schuirmann1987" in keys(view)) == (margin is not None)
    assert "closed test" not in paragraph(make_view())
    first = str(view.record.plan.cells[0].evaluate)
    uses = {**view.record.uses, first: StageUse(digest=first, reused_from="earlier-1")}
    late = paragraph(replace(view, record=view.record.model_copy(update={"uses": uses})))
    assert "before the run" not in late


def test_judges_are_told_with_the_orders_that_they_saw() -> None:
    view = make_view()
    view.__dict__["written"] = {
        ("orpo@0", "preference.accuracy"): (
            "ev-orpo0",
            Score(
                benchmark="b",
                metric="m",
                estimate=1,
                n=1,
                settings={"judge": "j-1", "orders": "both, averaged"},
            ),
        )
    }
    assert "Judges: j-1; orders of a pair: both, averaged." in paragraph(view)


def with_trl(view: ComparisonView) -> ComparisonView:
    """The view with TRL installed where its stages ran."""
    results = {
        digest: stage.model_copy(
            update={"environment": stage.environment.model_copy(update={"versions": {"trl": "1.16.0"}})}
        )
        for digest, stage in view.record.results.items()
    }
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_trl_is_named_and_cited_where_it_trained() -> None:
    assert "trl 1.16.0" not in paragraph(with_trl(make_view()))
    assert "vonwerra2020" not in keys(with_trl(make_view()))
    for facts in ({"head": HeadFacts(kind=HeadKind.FUSED)}, {"implementation": Implementation.STOCK}):
        view = with_trl(recorded(make_view(), **facts))
        assert "(trl 1.16.0)" in paragraph(view)
        assert keys(view).count("vonwerra2020") == 1


def test_every_device_is_named() -> None:
    view = make_view()
    other = view.record.results["orpo0"]
    environment = other.environment.model_copy(update={"device_name": "another CPU"})
    results = {**view.record.results, "orpo0": other.model_copy(update={"environment": environment})}
    moved = replace(view, record=view.record.model_copy(update={"results": results}))
    assert "on a CPU and another CPU (torch 2.13.0)" in paragraph(moved)


def test_verdicts_that_no_question_asked_for_are_said_to_be_exploratory() -> None:
    for seeds in ((0,), (0, 1)):
        assert "No question was registered: every verdict is unadjusted and exploratory." in paragraph(
            make_view(seeds=seeds)
        )
        question = {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": 0.05}
        view = make_view(seeds=seeds, questions=[question])
        assert "One closed test adjusts all that is said of the 1 registered question" in paragraph(view)
        assert "All other verdicts are unadjusted and exploratory." in paragraph(view)
        assert "holm1979" in keys(view)


def test_aggregates_are_told_with_their_weights_and_scales() -> None:
    weights = {"preference.accuracy": 1, "rubric.grade": 2}
    aggregates = {"overall": {"weights": weights, "scales": {"preference.accuracy": 0.1}}}
    told = (
        "aggregate.overall is the weighted mean of its scores' differences, each turned so that higher is "
        "better and divided by its scale: preference.accuracy by 33.3%, one unit being 0.1, as written "
        "before the run; rubric.grade by 66.7%, one unit being the standard deviation over items of the base "
        "model's own scores."
    )
    view = with_spec(make_view(), aggregates=aggregates)
    assert told in paragraph(view)
    assert "aggregate" not in paragraph(make_view())
    assert "aggregate" not in paragraph(with_spec(make_view(random_weights=True), aggregates=aggregates))
