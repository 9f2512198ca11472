"""FLOPs from formulas against counted ones, on steps as SFT, DPO and ORPO make them.

The formulas name every product of these models, so all but one agree to the last FLOP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers

from harness.generate.head import attach
from harness.measure.counting import count
from harness.measure.flops import Bucket
from harness.measure.model_shape import ModelShape
from harness.measure.theory import FULL_LOGITS, HeadCost, body_flops, forward_flops, train_flops

VOCABULARY, HIDDEN, INNER, LAYERS = 96, 64, 80, 3
BATCH = Bucket(4, 40, 60)
ONCE = {BATCH: 1}


def llama(**settings: Any) -> Any:
    """A random Llama with two query heads for each key head."""
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    attention = settings.pop("attention", "sdpa")
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    attach(model, torch.arange(8)[None])
    return model.train()


def with_lora(model: Any) -> Any:
    settings = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    return peft.get_peft_model(model, settings)


def tokens(bucket: Bucket) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (bucket.batch, bucket.length))


def log_probs(model: Any, bucket: Bucket = BATCH) -> torch.Tensor:
    """Per scored token, the last ones of each sequence: (batch, scored / batch)."""
    ids, each = tokens(bucket), bucket.scored // bucket.batch
    last = torch.arange(bucket.length - 1 - each, bucket.length - 1)
    positions = (torch.arange(bucket.batch)[:, None] * bucket.length + last).flatten()
    found: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), positions=positions)
    return found.view(bucket.batch, each)


def sft(model: Any) -> None:
    (-log_probs(model).mean()).backward()


def dpo(model: Any, reference: Any) -> None:
    chosen, rejected = log_probs(model).sum(1).chunk(2)
    with torch.no_grad():
        ref_chosen, ref_rejected = log_probs(reference).sum(1).chunk(2)
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    (-torch.nn.functional.logsigmoid(0.1 * margin).mean()).backward()


def dpo_precomputed(model: Any) -> None:
    chosen, rejected = log_probs(model).sum(1).chunk(2)
    (-torch.nn.functional.logsigmoid(0.1 * (chosen - rejected - 1)).mean()).backward()


def orpo(model: Any) -> None:
    means = log_probs(model).mean(1).clamp(max=-1e-3)
    chosen, rejected = (means - torch.log1p(-means.exp())).chunk(2)
    (-means.chunk(2)[0].mean() - 0.1 * torch.nn.functional.logsigmoid(chosen - rejected).mean()).backward()


def test_shape_counts_grouped_query_attention_as_it_is() -> None:
    shape = ModelShape.of_model(llama())
    queries_and_output = 2 * HIDDEN * HIDDEN
    keys_and_values = 2 * HIDDEN * (HIDDEN // 2)
    assert shape.body == LAYERS * (queries_and_output + keys_and_values + 3 * HIDDEN * INNER)
    assert shape.first == HIDDEN * HIDDEN + keys_and_values
    assert shape.last == LAYERS * HIDDEN * INNER
    assert (shape.lora, shape.lora_first) == (0, 0)
    assert (shape.scores, shape.values, shape.windows) == (3 * 64, 3 * 64, (None,) * 3)
    assert (shape.hidden, shape.vocabulary) == (64, 96)


def test_adapters_are_counted_apart() -> None:
    shape = ModelShape.of_model(with_lora(llama()))
    assert shape.body == ModelShape.of_model(llama()).body
    into, out = 4 * (6 * HIDDEN + INNER), 4 * (3 * HIDDEN + HIDDEN + 2 * INNER)
    assert shape.lora == LAYERS * (into + out)
    assert shape.lora_first == 3 * 4 * HIDDEN


@pytest.mark.parametrize(
    ("config", "body"),
    [
        (
            transformers.Qwen2Config(
                vocab_size=50,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=1,
            ),
            2 * (2 * 32 * 32 + 2 * 32 * 8 + 3 * 32 * 48),
        ),
        (
            transformers.GPTNeoXConfig(
                vocab_size=50,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
            ),
            2 * (4 * 32 * 32 + 2 * 32 * 48),
        ),
        (
            transformers.GPT2Config(vocab_size=50, n_embd=32, n_inner=48, n_layer=2, n_head=4),
            2 * (4 * 32 * 32 + 2 * 32 * 48),
        ),
    ],
    ids=["qwen2", "gpt_neox", "gpt2"],
)
def test_shapes_of_other_families_need_no_memory(config: Any, body: int) -> None:
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    shape = ModelShape.of_model(model)
    assert (shape.body, shape.scores, shape.vocabulary) == (body, 2 * 32, 50)


@pytest.mark.parametrize("step", [sft, dpo_precomputed, orpo])
@pytest.mark.parametrize("wrap", [lambda m: m, with_lora], ids=["full", "lora"])
def test_one_forward_and_backward(step: Callable[[Any], None], wrap: Callable[[Any], Any]) -> None:
    model = wrap(llama())
    counted = count(lambda: step(model))
    assert counted.unknown_ops == ()
    expected = train_flops(ModelShape.of_model(model), ONCE)
    assert counted.total == expected


def test_dpo_adds_the_forward_of_its_reference() -> None:
    model, reference = llama(), llama()
    shape = ModelShape.of_model(model)
    expected = train_flops(shape, ONCE) + forward_flops(shape, ONCE)
    assert count(lambda: dpo(model, reference)).total == expected


def test_reference_adapters_cost_their_products() -> None:
    model = with_lora(llama())
    shape = ModelShape.of_model(model)
    with torch.no_grad():
        through = count(lambda: log_probs(model)).total
        with model.disable_adapter():
            around = count(lambda: log_probs(model)).total
    assert through == forward_flops(shape, ONCE, adapters=True)
    assert around == forward_flops(shape, ONCE)


@pytest.mark.parametrize("wrap", [lambda m: m, with_lora], ids=["full", "lora"])
def test_checkpointing_forwards_the_blocks_again(wrap: Callable[[Any], Any]) -> None:
    """Recomputing adapters stops short of the last matrix of each block, which no formula names."""
    model = wrap(llama())
    if hasattr(model, "peft_config"):
        model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    expected = train_flops(ModelShape.of_model(model), ONCE, checkpointing=1)
    assert count(lambda: sft(model)).total == pytest.approx(expected, rel=0.01)


def test_half_the_blocks_checkpointed_cost_half_as_much_more() -> None:
    shape = ModelShape.of_model(llama())
    none, half, full = (train_flops(shape, ONCE, checkpointing=k) for k in (0, 0.5, 1))
    assert half == pytest.approx((none + full) / 2, rel=1e-12)


def test_eager_and_fused_attention_differ_by_flashs_recompute() -> None:
    fused, eager = llama(), llama(attention="eager")
    shape = ModelShape.of_model(fused)
    recompute = 2 * LAYERS * HIDDEN * BATCH.batch * BATCH.length**2
    counted = [count(lambda m=m: sft(m)).total for m in (fused, eager)]
    assert counted[0] - counted[1] == recompute
    theory = [train_flops(shape, ONCE, attention=a) for a in ("flash", "eager")]
    assert theory[0] - theory[1] == recompute


@pytest.mark.parametrize("wrap", [lambda m: m, with_lora], ids=["full", "lora"])
def test_plain_logits_are_not_recomputed(wrap: Callable[[Any], Any]) -> None:
    model = wrap(llama())
    ids = tokens(BATCH)
    counted = count(lambda: model(input_ids=ids).logits.logsumexp(-1).mean().backward()).total
    expected = train_flops(ModelShape.of_model(model), ONCE, head=FULL_LOGITS)
    assert counted == expected


def test_frozen_embeddings_of_parallel_blocks() -> None:
    config = transformers.GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=4,
    )
    model = with_lora(transformers.AutoModelForCausalLM.from_config(config)).train()
    ids = tokens(BATCH)
    counted = count(lambda: model(input_ids=ids).logits.logsumexp(-1).mean().backward()).total
    expected = train_flops(ModelShape.of_model(model), ONCE, head=FULL_LOGITS)
    assert counted == expected


def test_the_head_works_on_scored_positions() -> None:
    """Hand-computed: no layers, and a head of 8 * 96 * 64 a position."""
    shape = ModelShape(0, 0, 0, 0, 0, 0, 0, (), HIDDEN, VOCABULARY)
    assert train_flops(shape, {BATCH: 3}) == 3 * 8 * 96 * 64 * 60
    next_token = HeadCost(positions="next")
    assert train_flops(shape, {BATCH: 3}, head=next_token) == 3 * 8 * 96 * 64 * 4 * 39
    assert train_flops(shape, {BATCH: 3}, head=FULL_LOGITS) == 3 * 6 * 96 * 64 * 4 * 40
    assert forward_flops(shape, {BATCH: 3}) == 3 * 2 * 96 * 64 * 60


def test_body_ratios_of_the_methods() -> None:
    """ORPO over SFT+DPO at equal lengths: 12/22 full, and 12/16 over DPO with its reference."""
    shape = ModelShape(body=10, first=0, lora=0, lora_first=0, last=0, scores=1, values=1,
                       windows=(None,), hidden=1, vocabulary=1)  # fmt: skip
    pair, chosen = {Bucket(2, 8, 4): 1}, {Bucket(1, 8, 2): 1}
    orpo_flops = body_flops(shape, pair, passes=6)
    dpo_flops = orpo_flops + body_flops(shape, pair, passes=2)
    assert orpo_flops / (dpo_flops + body_flops(shape, chosen, passes=6)) == pytest.approx(12 / 22)
    assert orpo_flops / dpo_flops == pytest.approx(0.75)
