"""Answers: order, stops, memory, sampling, and text that is hard to write down."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.answer import _as_answer, answer
from harness.generate.load import load_model
from harness.jsonl import read_jsonl, well_formed, write_jsonl
from harness.pipeline.generation_spec import GenerationSpec


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


def ask(*texts: str) -> list[Prompt]:
    return [Prompt(str(i), "b", [{"role": "user", "content": t}]) for i, t in enumerate(texts)]


def test_no_prompts_no_answers(loaded: LoadedModel) -> None:
    assert answer(loaded, [], GenerationSpec()) == []


def test_the_stop_token_counts_and_is_not_shown(loaded: LoadedModel) -> None:
    prompt = ask("w4")[0]
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_tokens(["<turn_end>"])
    marked = LoadedModel(loaded.model, tokenizer, [2, 64], "cpu", "", Path())
    stopped = _as_answer(marked, prompt, [6, 7, 64])
    assert (stopped.text, stopped.tokens, stopped.finish) == ("w6 w7", 3, "stop")
    cut = _as_answer(marked, prompt, [6, 7])
    assert (cut.text, cut.tokens, cut.finish) == ("w6 w7", 2, "length")


def test_any_stop_token_ends_an_answer(loaded: LoadedModel) -> None:
    settings = GenerationSpec(max_new_tokens=6)
    plain = answer(loaded, ask("w4 w5"), settings)[0]
    first = loaded.tokenizer.convert_tokens_to_ids(plain.text.split()[0])
    early = LoadedModel(loaded.model, loaded.tokenizer, [2, first], "cpu", "", Path())
    found = answer(early, ask("w4 w5"), settings)[0]
    assert (found.text, found.tokens, found.finish) == ("", 1, "stop")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("scripted"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")]
)
def test_a_batch_that_does_not_fit_is_halved(loaded: LoadedModel, error: Exception, monkeypatch: Any) -> None:
    sizes = []
    generate = loaded.model.generate

    def scarce(**inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise error
        return generate(**inputs)

    prompts = ask("w4", "w5 w6", "w7 w8 w9", "w10", "w11")
    expected = answer(loaded, prompts, GenerationSpec(max_new_tokens=4, batch_size=5))
    monkeypatch.setattr(loaded.model, "generate", scarce)
    seen: list[tuple[int, int]] = []
    found = answer(
        loaded,
        prompts,
        GenerationSpec(max_new_tokens=4, batch_size=5),
        lambda done, total: seen.append((done, total)),
    )
    assert found == expected
    assert sizes == [5, 2, 2, 1]
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("scripted"), RuntimeError("scripted: no memory's fault")]
)
def test_one_prompt_that_does_not_fit_and_other_faults_are_errors(
    loaded: LoadedModel, error: Exception, monkeypatch: Any
) -> None:
    def full(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(loaded.model, "generate", full)
    with pytest.raises(RuntimeError, match="scripted"):
        answer(loaded, ask("w4", "w5"), GenerationSpec(batch_size=2))


def test_sampling_repeats_and_leaves_the_programs_randomness_alone(loaded: LoadedModel) -> None:
    settings = GenerationSpec(max_new_tokens=8, temperature=2.0, top_p=0.9)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = answer(loaded, ask("w4", "w5"), settings)
    assert torch.equal(torch.rand(1), expected)
    torch.manual_seed(4)
    assert answer(loaded, ask("w4", "w5"), settings) == first
    assert first != answer(loaded, ask("w4", "w5"), GenerationSpec(max_new_tokens=8))


def test_lone_surrogates_can_be_asked(loaded: LoadedModel) -> None:
    found = answer(loaded, ask("w4 \ud800 w5"), GenerationSpec(max_new_tokens=2))[0]
    assert found.prompt == "w4 \ud800 w5"


@given(text=st.text(st.characters(exclude_categories=())), meta=st.text(st.characters()))
def test_answers_survive_a_file(tmp_path_factory: Any, text: str, meta: str) -> None:
    made = Answer("i", "b", text, text, 3, "stop", reference=text, meta={"m": meta})
    file = tmp_path_factory.mktemp("answers") / "answers.jsonl"
    write_jsonl(file, [made.as_row()])
    assert [Answer(**row) for row in read_jsonl(file)] == [made]
    well_formed(text).encode("utf-8")


def test_hard_text_survives_a_file(tmp_path: Path) -> None:
    texts = ["\ud800", "a\udfffb", "\x00\x07\x1b", "\u2028\u2029\x85\r\n", "\U0001f600", '"\\']
    write_jsonl(tmp_path / "a.jsonl", [{"text": t} for t in texts])
    assert [row["text"] for row in read_jsonl(tmp_path / "a.jsonl")] == texts
    assert well_formed("a\ud800b\U0001f600") == "a\ufffdb\U0001f600"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_jsonl(file, [{"n": 1}])
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_jsonl(file, [{"n": 2}, {"n": object()}])
    assert read_jsonl(file) == [{"n": 1}]
    assert list(tmp_path.iterdir()) == [file]
