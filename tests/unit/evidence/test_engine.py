"""What made the answers stands where answers are told of, and what was noticed of it among the limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic import make_view, trained

from harness.evidence.documents.mixing import forbidden
from harness.evidence.engine import answers_in_words
from harness.evidence.sections.limits import limits
from harness.evidence.view import ComparisonView
from harness.records import EngineTrial, EvaluateFacts, RehearseEvaluateFacts

GENERATION = {"engine": "auto", "max_new_tokens": 32, "temperature": 0.0, "batch_size": 64}
TRIAL = EngineTrial(tried="continuous", used="continuous", prompts=8, new_tokens=32, tolerance=0.25, same=8)
ASIDE = {"used": "padded", "same": None, "reason": "engine continuous cannot answer with this model (no)"}
BEYOND = {"same": 6, "first_difference": 3, "largest_gap": 1.25, "reason": "an answer parts"}


def answered(engine: str | None, trial: EngineTrial | None = None, **generation: Any) -> ComparisonView:
    """A run whose cells answered by `engine`, as they recorded it, with what its rehearsal found."""
    view = make_view(generation={**GENERATION, **generation})
    results = dict(view.record.results)
    made = {**GENERATION, **generation, "engine": engine} if engine else {"max_new_tokens": 32}
    for digest, stage in results.items():
        if isinstance(stage.facts, EvaluateFacts):
            results[digest] = stage.model_copy(update={"facts": EvaluateFacts(generation=made, answers=4)})
    update = {"kind": "rehearse_evaluate", "facts": RehearseEvaluateFacts(engine=trial), "ledger": []}
    results["tried"] = trained("tried", "rehearse scoring", 0, "orpo").model_copy(update=update)
    plan = view.record.plan.model_copy(update={"rehearse_evaluate": "tried"})
    return replace(view, record=view.record.model_copy(update={"results": results, "plan": plan}))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (answered("padded"), "greedy, of at most 32 tokens, made in padded batches."),
        (answered(None), "greedy, of at most 32 tokens."),
        (
            answered("continuous", TRIAL),
            "made by transformers' continuous batching. The base model's answers by transformers' continuous "
            "batching to 8 prompts, of at most 32 tokens, were those of padded batches token for token in 8.",
        ),
        (
            answered("vllm", TRIAL.model_copy(update={"tried": "vllm", "used": "vllm", **BEYOND})),
            "made by vLLM. The base model's answers by vLLM to 8 prompts, of at most 32 tokens, were those "
            "of padded batches token for token in 6; the earliest difference is at token 4, and no token "
            "taken where answers part is over 1.2 nats less likely.",
        ),
        (answered("padded", TRIAL.model_copy(update=ASIDE)), "made in padded batches."),
    ],
)
def test_answers_are_told_with_what_made_them(view: ComparisonView, said: str) -> None:
    assert answers_in_words(view).endswith(said)


def test_what_was_noticed_is_a_limit() -> None:
    aside = answered("padded", TRIAL.model_copy(update=ASIDE))
    assert (
        "Answers were made in padded batches: engine continuous cannot answer with this model (no). All arms "
        "answered alike." in limits(aside)
    )
    beyond = answered("continuous", TRIAL.model_copy(update=BEYOND))
    assert any(
        line.startswith("Answers were made by transformers' continuous batching: an answer")
        for line in limits(beyond)
    )
    for quiet in (answered("padded"), answered("continuous", TRIAL), make_view()):
        assert not any("Answers were made" in line for line in limits(quiet))


def test_runs_that_were_answered_otherwise_are_not_mixed() -> None:
    """What was asked for does not matter, nor what changes no answer; older runs were all padded."""
    padded, older = answered("padded", batch_size=8, vllm_memory_share=0.5), answered(None)
    older.record.plan.spec["generation"].pop("engine")
    by_name = answered("padded")
    by_name.record.plan.spec["generation"] = {**GENERATION, "engine": "padded"}
    assert forbidden([padded, older, by_name]) == []
    (reason,) = forbidden([padded, answered("continuous")])
    assert "the answers' settings differs" in reason
    assert "engine continuous" in reason
