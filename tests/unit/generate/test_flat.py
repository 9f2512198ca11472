"""Flat rows: what a model computes of them is what it computes of padded sequences, gradients included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import families
import numpy as np
import peft
import pytest
import torch

from harness.generate.batch import pad, positions_of
from harness.generate.flat import lay_flat
from harness.generate.flat_attention import attention_of, use_flat_attention, why_not_flat
from harness.generate.head import attach, causal_lm
from harness.generate.precision import compute_in, resolve_precision

Sequences = list[tuple[list[int], list[int]]]
TAKEN = (
    "llama",
    "tied",
    "qwen3, heads wider than hidden",
    "granite",
    "gpt2",
    "deepseek_v3, latent attention",
)
LAYOUTS = {"flat": False, "prompts shared": True}


def pairs(count: int = 3) -> Sequences:
    """Chosen sequences, then rejected ones of the same prompts."""
    rng = np.random.default_rng(0)

    def tokens(low: int, high: int) -> list[int]:
        return [int(t) for t in rng.integers(3, families.VOCABULARY, rng.integers(low, high))]

    prompts = [tokens(2, 7) for _ in range(count)]
    return [(prompt, tokens(2, 9)) for prompt in (*prompts, *prompts)]


def log_probs(model: Any, sequences: Sequences, shared: bool | None) -> torch.Tensor:
    """Of all responses, in order, from padded sequences (None) or from a row."""
    if shared is None:
        padded = pad(sequences, 0)
        found: torch.Tensor = model(input_ids=padded.ids, positions=positions_of(padded.response))
        return found
    flat = lay_flat(sequences, 0, shared=shared)
    padded = pad(sequences, 0, least=flat.row.length)
    places = positions_of(padded.response)
    found = model(
        input_ids=flat.ids,
        positions=flat.row.token_at[places],
        targets=padded.ids.flatten()[places + 1],
        flat_row=flat.row,
    )
    return found


def gradients(model: Any, values: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum that weighs every log-prob differently."""
    model.zero_grad()
    (values * torch.linspace(-1, 2, len(values))).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def ready(name: str, adapters: bool = False, checkpointing: bool = False) -> Any:
    model = families.family(name)
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if adapters:
        torch.manual_seed(1)
        settings = peft.LoraConfig(
            r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
        )
        model = peft.get_peft_model(model, settings)
    attach(model, torch.arange(3, 9)[None])
    return model.train()


def assert_equal(model: Any, shared: bool, tolerance: float = 1e-5) -> None:
    """Log-probs and gradients of a row and of padded sequences."""
    sequences = pairs()
    padded = log_probs(model, sequences, None)
    expected = gradients(model, padded)
    use_flat_attention(causal_lm(model))
    flat = log_probs(model, sequences, shared)
    found = gradients(model, flat)
    assert torch.allclose(flat, padded, atol=tolerance)
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=tolerance * largest), name


@pytest.mark.parametrize("shared", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", TAKEN)
def test_log_probs_and_gradients_are_those_of_padded_sequences(name: str, shared: bool) -> None:
    assert_equal(ready(name), shared)


@pytest.mark.parametrize("shared", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("adapters", [False, True])
def test_adapters_and_recomputed_blocks_learn_the_same(
    adapters: bool, checkpointing: bool, shared: bool
) -> None:
    assert_equal(ready("llama", adapters, checkpointing), shared)


@pytest.mark.parametrize("shared", LAYOUTS.values(), ids=LAYOUTS)
def test_under_autocast_they_agree_as_far_as_bfloat16_does(shared: bool) -> None:
    model = families.family("llama")
    compute_in(model, resolve_precision("mixed"))
    attach(model, torch.arange(3, 9)[None])
    assert_equal(model, shared, tolerance=0.05)


def test_sequences_of_one_length_have_a_place_of_padding_too() -> None:
    """Without one there would be nothing for the padding token to stand in."""
    model = ready("llama")
    sequences: Sequences = [([5, 6], [7, 8, 9])]
    expected = gradients(model, log_probs(model, sequences, None))
    use_flat_attention(model)
    found = gradients(model, log_probs(model, sequences, shared=False))
    assert all(torch.allclose(found[name], gradient, atol=1e-5) for name, gradient in expected.items())


def test_a_row_by_hand() -> None:
    flat = lay_flat([([5, 6], [7]), ([5, 6], [8, 9])], 0, shared=True)
    row = flat.row
    assert flat.ids.tolist() == [[5, 6, 7, 8, 9, 0]]
    assert row.position_ids.tolist() == [[0, 1, 2, 2, 3, 0]]
    assert (row.sequences, row.length) == (2, 4)
    assert row.token_at.view(2, 4).tolist() == [[0, 1, 2, 5], [0, 1, 3, 4]]
    assert row.owner.view(2, 4).tolist() == [[0, 1, 2, 5], [5, 5, 3, 4]]
    assert row.first.tolist() == [0, 1, 2, 6, 7, 3]
    assert row.second.tolist() == [4, 5]


def test_the_padding_token_has_no_gradient() -> None:
    model = ready("llama")
    use_flat_attention(model)
    found = gradients(model, log_probs(model, pairs(), shared=True))
    embedding = found["model.embed_tokens.weight"]
    assert not embedding[0].any()
    assert embedding[3:].any()


REASONS = {
    "mistral, all layers in a window": "its attention has a window of 4 tokens",
    "qwen2, one layer in a window": "its attention has a window of 4 tokens",
    "gemma2, capped": "its attention is eager",
    "bloom": "its attention is eager",
    "jamba": "its attention is no exchangeable function",
    "lfm2": "it has layers of conv",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_model_that_cannot_take_rows_says_why(name: str) -> None:
    assert why_not_flat(families.family(name), 32) == REASONS[name]


def test_a_window_that_no_sequence_reaches_is_none() -> None:
    assert why_not_flat(families.family("mistral, all layers in a window"), 4) is None


def masked(sequences: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Ids and mask, padded on the left."""
    longest = max(map(len, sequences))
    yield torch.tensor([[0] * (longest - len(s)) + list(s) for s in sequences])
    yield torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences])


def test_a_model_that_takes_rows_still_heeds_masks() -> None:
    model = ready("llama").eval()
    ids, mask = masked([[5, 6, 7], [8, 9, 10, 11, 12]])
    expected = model(input_ids=ids, attention_mask=mask).logits
    use_flat_attention(model)
    assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, expected)
    assert attention_of(model) == "sdpa"
