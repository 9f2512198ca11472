"""Scoring is tried on the longest batch, with the cache as large as it will be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.benchmarks import read_prepared_test
from harness.generate import LoadedModel, Prompt
from harness.generate.answer import answer
from harness.generate.load import load_model
from harness.generate.trial import TOKENS, try_answering, try_scoring_pairs
from harness.pipeline.generation_spec import GenerationSpec

SETTINGS = GenerationSpec(max_new_tokens=20, batch_size=3)


@pytest.fixture
def loaded(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model), tiny_model, stop_token_ids=[2])


def ask(*texts: str, **settings: Any) -> list[Prompt]:
    return [Prompt(f"p{i}", "b", [{"role": "user", "content": t}], **settings) for i, t in enumerate(texts)]


PROMPTS = ask("w4", "w5 w6", "w7 w8 w9 w10", "w11 w12 w13 w14 w15", "w16 w17 w18")


class Passes:
    """(sequences, new tokens, tokens in the cache afterwards) of every forward pass."""

    def __init__(self, model: Any) -> None:
        self.seen: list[tuple[int, int, int]] = []
        model.base_model.register_forward_hook(self._noted, with_kwargs=True)

    def _noted(self, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        cache = kwargs.get("past_key_values")
        states = output[0]
        self.seen.append((*states.shape[:2], 0 if cache is None else cache.get_seq_length()))


def test_the_cache_ends_where_that_of_a_real_batch_ends(loaded: LoadedModel) -> None:
    passes = Passes(loaded.model)
    trial = try_answering(loaded, PROMPTS, SETTINGS)
    tried = passes.seen[TOKENS:]
    passes.seen = []
    unstopped = LoadedModel(loaded.model, loaded.tokenizer, [-1], "cpu", "", Path())
    answer(unstopped, PROMPTS, SETTINGS)
    real = passes.seen[: SETTINGS.max_new_tokens]
    assert tried[:TOKENS] == real[:TOKENS], "a batch of the longest prompts and its first tokens"
    assert tried[TOKENS:] == real[-TOKENS:], "its last ones"
    assert (trial.answers, trial.batch, trial.prompt_tokens) == (5, 3, real[0][1])
    assert trial.cache_tokens == real[-1][2]
    assert trial.most_seconds == pytest.approx(
        2 * (trial.prefill_seconds + 20 * 3 * trial.seconds_per_token), rel=1e-9
    )


def test_later_turns_stand_after_answers_as_long_as_they_may_be(loaded: LoadedModel) -> None:
    plain = try_answering(loaded, ask("w4"), SETTINGS)
    turns = try_answering(loaded, ask("w4", follow_ups=[("q2", "w5 w6")]), SETTINGS)
    assert (plain.answers, turns.answers) == (1, 2)
    assert turns.prompt_tokens >= plain.prompt_tokens + SETTINGS.max_new_tokens + 2


def test_short_answers_need_no_filling(loaded: LoadedModel) -> None:
    trial = try_answering(loaded, PROMPTS, GenerationSpec(max_new_tokens=2, batch_size=3))
    assert trial.seconds_per_token > 0


def test_sampling_leaves_the_programs_randomness_alone(loaded: LoadedModel) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    try_answering(loaded, PROMPTS, GenerationSpec(max_new_tokens=8, temperature=1.0))
    assert torch.equal(torch.rand(1), expected)


def test_one_batch_of_the_longest_pairs_is_scored(loaded: LoadedModel, prepared: Path) -> None:
    rows = read_prepared_test(prepared)
    passes = Passes(loaded.model)
    trial = try_scoring_pairs(loaded, rows, 4)
    longest = max(len(r["prompt_ids"]) + max(len(r["chosen_ids"]), len(r["rejected_ids"])) for r in rows)
    assert (trial.pairs, trial.batch, trial.tokens) == (6, 4, longest)
    assert [seen[:2] for seen in passes.seen[-2:]] == [(4, longest)] * 2
    assert trial.most_seconds == pytest.approx(6 * trial.seconds_per_pair)
