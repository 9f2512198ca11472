"""Batching and padding change no answer and no log-prob."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.benchmarks import read_prepared_test
from harness.generate import Prompt
from harness.generate.answer import answer
from harness.generate.load import load_model
from harness.generate.logprobs import pair_log_probs
from harness.pipeline.generation_spec import GenerationSpec


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> Any:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


def test_one_by_one_and_batched_answers_are_equal(loaded: Any) -> None:
    prompts = [
        Prompt(
            str(n), "b", [{"role": "user", "content": " ".join(f"w{4 + n + i}" for i in range(1 + 3 * n))}]
        )
        for n in range(6)
    ]
    one, many = (
        answer(loaded, prompts, GenerationSpec(max_new_tokens=12, batch_size=size)) for size in (1, 6)
    )
    assert one == many
    assert [a.id for a in many] == [p.id for p in prompts]
    assert all(a.tokens <= 12 and (a.finish == "stop") == (a.tokens < 12 or a.finish == "stop") for a in many)


def test_log_probs_equal_a_plain_forward_and_ignore_padding(loaded: Any, prepared: Path) -> None:
    rows = read_prepared_test(prepared)
    batched = pair_log_probs(loaded.model, rows, 0, 12)
    for index, row in enumerate(rows):
        ids = torch.tensor([row["prompt_ids"] + row["chosen_ids"]])
        with torch.no_grad():
            logits = loaded.model(input_ids=ids).logits[0].log_softmax(-1)
        start = len(row["prompt_ids"])
        plain = sum(float(logits[start + i - 1, t]) for i, t in enumerate(row["chosen_ids"]))
        assert batched.chosen_sum[index] == pytest.approx(plain, abs=1e-4)
        assert batched.chosen_tokens[index] == len(row["chosen_ids"])


def test_scoring_puts_the_training_mode_back(loaded: Any, prepared: Path) -> None:
    loaded.model.train()
    pair_log_probs(loaded.model, read_prepared_test(prepared, 1), 0, 2)
    assert loaded.model.training


def test_left_padding_changes_no_log_prob(loaded: Any) -> None:
    short, long = [1, 7, 8, 9], [1, *range(4, 24)]
    pad = len(long) - len(short)
    ids = torch.tensor([[0] * pad + short, long])
    attention = torch.tensor([[0] * pad + [1] * len(short), [1] * len(long)])
    with torch.no_grad():
        padded = loaded.model.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=3,
            do_sample=False,
            eos_token_id=[],
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
        for row, prompt in enumerate((short, long)):
            whole = torch.tensor([[*prompt, *padded.sequences[row, len(long) :].tolist()]])
            plain = loaded.model(whole).logits[0].log_softmax(-1)
            for step, logits in enumerate(padded.logits):
                difference = logits[row].log_softmax(-1) - plain[len(prompt) - 1 + step]
                assert float(difference.abs().max()) < 1e-4


@pytest.mark.slow
def test_batches_of_1_and_32_answer_alike_on_the_embedded_model() -> None:
    """Any difference would have to be a tie: the two likeliest tokens closer than 1e-4."""
    from harness.data.base_model import EMBEDDED
    from perf.batching import compare, embedded_prompts

    loaded = load_model(str(EMBEDDED), EMBEDDED, stop_token_ids=[])
    loaded = replace(loaded, stop_token_ids=[loaded.tokenizer.eos_token_id])
    found = compare(loaded, loaded, embedded_prompts(loaded.tokenizer, 96), (1, 32), 32)
    assert found["answers"] == 96
    assert found["not_ties"] == 0
