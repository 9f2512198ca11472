"""Gated layers that make an activation again: the same numbers to the bit, and fewer bytes kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from harness.training.gates import recompute_gates
from harness.training.run import train

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}
FAMILIES = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)),
    "gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SIZES)),
}


def made(family: str) -> Any:
    torch.manual_seed(0)
    return FAMILIES[family]().train()


def gradients(model: Any) -> tuple[dict[str, torch.Tensor], int]:
    """Of a step, with the bytes that autograd kept for it beside the weights."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.arange(48).view(2, 24) % 60
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(input_ids=ids, labels=ids).loss
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters()}
    return found, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_same_to_the_bit_and_less_is_kept(family: str) -> None:
    plain, kept = gradients(made(family))
    model = made(family)
    assert recompute_gates(model) == 2
    again, less = gradients(model)
    assert all(torch.equal(plain[name], again[name]) for name in plain)
    one_activation = 48 * SIZES["intermediate_size"] * 4
    assert kept - less == 2 * one_activation


def test_a_layer_that_computes_something_else_stays() -> None:
    model = made("llama")
    model.model.layers[0].mlp.act_fn = torch.nn.Mish()
    forward = model.model.layers[0].mlp.forward
    assert recompute_gates(model) == 1
    assert model.model.layers[0].mlp.forward == forward


@pytest.mark.slow
def test_a_stage_trains_the_same_weights_and_says_what_it_did(make_job: Any) -> None:
    found, weights = {}, {}
    for name, settings in {
        "again": {},
        "kept": {"recompute_gates": False},
        "padded": {"packing": "off"},
        "checkpointing": {"gradient_checkpointing": True},
    }.items():
        job = make_job("orpo", name=name, **{"lambda": 0.5}, **settings)
        layout = train(job).facts.layout
        assert layout is not None
        found[name] = layout.gates_recomputed
        weights[name] = load_file(job.out / "model" / "model.safetensors")
    assert found == {"again": True, "kept": False, "padded": False, "checkpointing": False}
    assert all(torch.equal(weights["again"][name], weights["kept"][name]) for name in weights["kept"])
