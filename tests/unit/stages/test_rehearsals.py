"""Rehearsals whose device has no room say so in their facts, whichever library noticed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.generate import trial
from harness.measure.ranks import ALONE
from harness.measure.window import Window
from harness.pipeline.generation_spec import GenerationSpec
from harness.records import RehearseEvaluateFacts, RehearseFacts
from harness.stages import rehearse, rehearse_evaluate
from harness.training import rehearse as training

FULL = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def context(**config: Any) -> Any:
    request = SimpleNamespace(config=config)
    memory = SimpleNamespace(measurements=lambda: [])
    common = {"folder": None, "prepared": None, "window": Window(), "ranks": ALONE}
    return SimpleNamespace(request=request, memory=memory, **common)


def raising(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_a_library_without_room_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "make_job", lambda *_: None)
    monkeypatch.setattr(training, "rehearse", raising(FULL))
    facts = rehearse.run(context(job={}, steps=2)).facts
    assert isinstance(facts, RehearseFacts)
    assert facts.out_of_memory


def test_other_failures_stay_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "make_job", lambda *_: None)
    monkeypatch.setattr(training, "rehearse", raising(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        rehearse.run(context(job={}, steps=2))


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (GenerationSpec(batch_size=32), "--set generation.batch_size=16"),
        (GenerationSpec(batch_size=1, max_new_tokens=512), "--set generation.max_new_tokens=256"),
    ],
)
def test_scoring_without_room_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, settings: GenerationSpec, remedy: str
) -> None:
    prompt = SimpleNamespace(messages=[{"role": "user", "content": "w4"}])
    monkeypatch.setattr(rehearse_evaluate, "prompts_of", lambda _: [prompt])
    monkeypatch.setattr(rehearse_evaluate, "benchmarks_of", lambda _: [])
    monkeypatch.setattr(rehearse_evaluate, "generation_of", lambda _: settings)
    one = context()

    def load(*_: Any) -> None:
        with one.window.phase("model_load"):
            pass

    monkeypatch.setattr(rehearse_evaluate, "model_of", load)
    monkeypatch.setattr(trial, "try_answering", raising(FULL))
    assert rehearse_evaluate.run(one).facts == RehearseEvaluateFacts(out_of_memory=True, remedy=remedy)


def test_nothing_is_loaded_where_nothing_asks_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse_evaluate, "prompts_of", lambda _: [])
    monkeypatch.setattr(rehearse_evaluate, "benchmarks_of", lambda _: [])
    monkeypatch.setattr(rehearse_evaluate, "model_of", raising(AssertionError("loaded")))
    facts = rehearse_evaluate.run(context()).facts
    assert isinstance(facts, RehearseEvaluateFacts)
    assert (facts.answering, facts.pair_scoring, facts.most_seconds) == (None, None, 0.0)
