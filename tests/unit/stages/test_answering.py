"""A scoring stage's answers: by the engine that was decided on, whatever becomes of the stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import conftest
import fake_vllm
import pytest
from synthetic import ENVIRONMENT

from harness.generate import Prompt, load
from harness.jsonl import read_jsonl
from harness.measure.window import Window
from harness.records import EngineTrial, EvaluateFacts, RehearseEvaluateFacts, StageRequest, StageResult
from harness.sealed import write_sealed
from harness.stages import evaluate, rehearse_evaluate
from harness.stages.answering import UNSEEN, answered, settings_of
from harness.stages.context import Context

ASKED = [
    Prompt("1", "b", [{"role": "user", "content": "w4 w5 w6"}], follow_ups=[("1-2", "w9")]),
    Prompt("2", "b", [{"role": "user", "content": "w7"}]),
    Prompt("3", "c", [{"role": "user", "content": "w7"}]),
]
TRIAL = EngineTrial(tried="continuous", used="continuous", prompts=2, new_tokens=4, tolerance=0.1, same=2)


def sealed(folder: Path, kind: str, facts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    result = StageResult(
        digest=folder.name,
        kind=kind,  # type: ignore[arg-type]
        name=kind,
        seed=0,
        started_at="2026-01-01T00:00:00",
        finished_at="2026-01-01T00:00:00",
        environment=ENVIRONMENT,
        facts=facts,
    )
    write_sealed(folder / "result.json", result)
    return folder


@pytest.fixture
def make_context(make_prepared: Any, tiny_model: Path, tmp_path: Path) -> Any:
    prepared = make_prepared(1, test=2)
    sealed(prepared, "prepare", conftest.prepared_facts().model_copy(update={"model_path": str(tiny_model)}))

    def make(kind: str = "evaluate", digest: str = "d", inputs: Any = None, **generation: Any) -> Context:
        config = {"benchmarks": {}, "generation": {"max_new_tokens": 5, **generation}, "form": {}}
        request = StageRequest(
            digest=digest,
            kind=kind,  # type: ignore[arg-type]
            name=kind,
            seed=0,
            config=config,
            inputs={"prepared": str(prepared), **(inputs or {})},
        )
        folder = tmp_path / "stages" / digest
        folder.mkdir(parents=True, exist_ok=True)
        return Context(request, folder, Window(), None, None, None, lambda *_: None)  # type: ignore[arg-type]

    return make


def texts(done: Any) -> list[tuple[str, str]]:
    return [(a.id, a.text) for a in done.answers]


@pytest.mark.parametrize("used", ["padded", "continuous"])
def test_a_cell_answers_by_the_engine_that_the_rehearsal_decided_on(
    make_context: Any, tmp_path: Path, used: str
) -> None:
    facts = RehearseEvaluateFacts(engine=TRIAL.model_copy(update={"used": used}))
    rehearsal = sealed(tmp_path / "rehearsal", "rehearse_evaluate", facts)
    done = answered(make_context(engine="auto", inputs={"engine": str(rehearsal)}), ASKED, needs_model=False)
    assert done.settings.engine == used
    assert done.model is not None
    assert done.model.engine == used, "samples that benchmarks draw are made alike"
    assert texts(done) == texts(answered(make_context(digest="e", engine="padded"), ASKED, needs_model=False))
    figures = {m.quantity: m for m in done.ledger}
    assert figures["generation_flops"].value
    assert figures["generation_tokens"].value


def test_where_nothing_was_tried_answers_are_padded(make_context: Any, tmp_path: Path) -> None:
    rehearsal = sealed(tmp_path / "rehearsal", "rehearse_evaluate", RehearseEvaluateFacts())
    assert settings_of(make_context(engine="auto", inputs={"engine": str(rehearsal)})).engine == "padded"


def test_vllm_is_gone_before_the_model_is_loaded_for_scores(
    make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, loads = fake_vllm.install(monkeypatch), []
    real = load.load_weights

    def loaded(*arguments: Any, **settings: Any) -> Any:
        loads.append([llm.running for llm in started])
        return real(*arguments, **settings)

    monkeypatch.setattr(load, "load_weights", loaded)
    monkeypatch.setattr(evaluate, "prompts_of", lambda _: ASKED)
    scored: list[Any] = []
    monkeypatch.setattr(evaluate, "_scores", lambda _, model, answers: scored.append(model) or [])
    outcome = evaluate.run(make_context(engine="vllm"))
    assert (loads, scored, len(started)) == ([], [None], 1), "answers alone need no weights of ours"
    assert not started[0].running
    assert started[0].max_model_len is not None
    figures = {m.quantity: (m.value, m.reason) for m in outcome.ledger}
    assert figures["generation_flops"] == figures["generation_tokens"] == (None, UNSEEN)
    assert outcome.facts.generation["engine"] == "vllm"  # type: ignore[union-attr, index]

    class Needing:
        @staticmethod
        def score_model(*_: Any) -> None:
            """Makes it a benchmark that scores the model."""

    monkeypatch.setattr(evaluate, "benchmarks_of", lambda _: [("b", Needing, None)])
    evaluate.run(make_context(digest="e", engine="vllm"))
    assert loads == [[False, False]]
    assert scored[1].engine == "padded", "vLLM is not started again for a benchmark's own samples"


def test_vllm_answers_every_turn_as_padded_batches_do(
    make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = fake_vllm.install(monkeypatch)
    expected = texts(answered(make_context(engine="padded"), ASKED, needs_model=False))
    assert texts(answered(make_context(digest="e", engine="vllm"), ASKED, needs_model=False)) == expected
    assert [one["prompts"] for one in started[0].asked] == [2, 1], "a turn each, and what is asked twice once"


def test_vllm_is_not_started_where_all_is_known(make_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = fake_vllm.install(monkeypatch)
    context = make_context(engine="vllm")
    first = answered(context, ASKED, needs_model=False)
    again = answered(context, ASKED, needs_model=False)
    assert (again.answers, len(started), again.begun) == (first.answers, 1, 3)


def test_answers_are_kept_until_they_are_scored(make_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context(engine="padded")
    kept = context.folder.parent.parent / "cache" / "answers" / "d.jsonl"
    monkeypatch.setattr(evaluate, "prompts_of", lambda _: ASKED)

    def fails(*_: Any) -> Any:
        raise RuntimeError("scripted")

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "_scores", fails)
        with pytest.raises(RuntimeError, match="scripted"):
            evaluate.run(context)
    assert len(read_jsonl(kept)) == 3
    assert evaluate.run(context).notes == ["went on from 3 answers of a run that broke off"]
    assert not kept.exists()


@pytest.mark.parametrize(("engine", "known"), [("padded", True), ("continuous", False)])
def test_answers_of_an_earlier_stage_are_known_where_they_were_made_alike(
    make_context: Any, monkeypatch: pytest.MonkeyPatch, engine: str, known: bool
) -> None:
    """One that was made before there were other engines recorded none."""
    earlier = make_context(digest="earlier", engine="padded")
    done = answered(earlier, ASKED, needs_model=False)
    done.kept.discard()
    recorded = {
        k: v for k, v in done.settings.model_dump().items() if k not in ("engine", "vllm_memory_share")
    }
    sealed(earlier.folder, "evaluate", EvaluateFacts(generation=recorded, answers=len(done.answers)))
    loads = []
    real = load.load_weights
    monkeypatch.setattr(load, "load_weights", lambda *a, **k: (loads.append(a), real(*a, **k))[1])
    context = make_context(engine=engine, inputs={"answers:0": str(earlier.folder)})
    assert texts(answered(context, ASKED, needs_model=False)) == texts(done)
    assert (loads == []) == known


@pytest.mark.parametrize("engine", ["padded", "auto"])
def test_a_rehearsal_tries_what_is_not_padded(
    make_context: Any, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(rehearse_evaluate, "prompts_of", lambda _: ASKED)
    context = replace(
        make_context("rehearse_evaluate", engine=engine), memory=type("M", (), {"measurements": list})
    )
    facts = rehearse_evaluate.run(context).facts
    assert isinstance(facts, RehearseEvaluateFacts)
    assert facts.answering is not None
    if engine == "padded":
        assert facts.engine is None
    else:
        assert facts.engine is not None
        assert (facts.engine.used, facts.engine.same, facts.engine.prompts) == ("continuous", 2, 2)
