"""Generation that goes on where it was broken off, and needs no model where all is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import scores_of_items
from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.kept import KeptAnswers
from harness.generate.load import load_model
from harness.generate.turns import all_known, answer_turns
from harness.jsonl import read_jsonl
from harness.pipeline.generation_spec import GenerationSpec

SETTINGS = GenerationSpec(max_new_tokens=5, batch_size=2)
NASTY = "w4 \ud800 </script> \x1e \\input{x} " + "w5 " * 30


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


def prompts() -> list[Prompt]:
    texts = ["w4 w5", "w6", NASTY, "w7 w8 w9", "w10"]
    return [
        Prompt(str(i), "b", [{"role": "user", "content": text}], follow_ups=[(f"{i}-2", "w11")])
        for i, text in enumerate(texts)
    ]


def test_a_broken_generation_goes_on(loaded: LoadedModel, tmp_path: Path, monkeypatch: Any) -> None:
    whole = answer_turns(loaded, prompts(), SETTINGS)
    kept = KeptAnswers(tmp_path / "deep" / "kept.jsonl")
    asked: list[int] = []
    generate = loaded.model.generate

    def breaks(**inputs: Any) -> Any:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(len(inputs["input_ids"]))
        return generate(**inputs)

    monkeypatch.setattr(loaded.model, "generate", breaks)
    with pytest.raises(KeyboardInterrupt):
        answer_turns(loaded, prompts(), SETTINGS, keep=kept.add)
    assert len(kept.load()) == 4
    with (tmp_path / "deep" / "kept.jsonl").open("a") as sink:
        sink.write('{"id": "torn", "asked": "x", "te')
    asked.clear()
    monkeypatch.setattr(
        loaded.model,
        "generate",
        lambda **inputs: (asked.append(len(inputs["input_ids"])), generate(**inputs))[1],
    )
    again = answer_turns(loaded, prompts(), SETTINGS, known=kept.load(), keep=kept.add)
    assert sum(asked) == 10 - 4
    assert [(a.id, a.text) for a in again] == [(a.id, a.text) for a in whole]
    known = KeptAnswers(tmp_path / "deep" / "kept.jsonl").load()
    assert all_known(prompts(), known)
    assert [a.text for a in answer_turns(None, prompts(), SETTINGS, known=known)] == [a.text for a in whole]
    assert not all_known([*prompts(), Prompt("new", "b", [{"role": "user", "content": "w12"}])], known)
    kept.discard()
    assert kept.load() == {}


def test_nothing_kept_is_nothing_known(tmp_path: Path) -> None:
    kept = KeptAnswers(tmp_path / "none.jsonl")
    assert kept.load() == {}
    kept.discard()
    texts = ["\ud800 text", "", "x" * 100_000, "<b>\\input{x}\x00\x1e\u2028\u202e`=cmd()`\r\n"]
    kept.add([Answer(str(i), "b", "q", text, 1, "stop", asked=f"d{i}") for i, text in enumerate(texts)])
    assert [answer.text for answer in kept.load().values()] == texts
    rows = [{"id": str(i), "metrics": {}, "answer": text} for i, text in enumerate(texts)]
    scores_of_items("b", rows, tmp_path)
    assert [row["answer"] for row in read_jsonl(tmp_path / "scores" / "b.jsonl")] == texts
