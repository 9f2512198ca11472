"""Families of models: counted FLOPs equal those of the formulas, or there is none, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import families
import peft
import pytest
import torch

from harness.generate.flat_attention import use_flat_attention
from harness.generate.head import attach
from harness.measure.counting import FlopCount, count, made_really, shapes_only
from harness.measure.flops import Bucket
from harness.measure.model_shape import ModelShape, NoFormula
from harness.measure.theory import Attention, forward_flops, train_flops
from harness.training.collate import Collator
from harness.training.inputs import model_inputs

pytestmark = pytest.mark.filterwarnings("ignore:The following .*_pattern keys:RuntimeWarning")

BATCH = Bucket(2, 16, 20)
ONCE = {BATCH: 1}
WITH_FORMULA = [*families.DENSE, *families.EXPERTS]


def batch() -> dict[str, Any]:
    """Two sequences whose last ten tokens are scored."""
    ids = torch.randint(3, families.VOCABULARY, (BATCH.batch, BATCH.length))
    last = torch.arange(BATCH.length - 11, BATCH.length - 1)
    positions = (torch.arange(BATCH.batch)[:, None] * BATCH.length + last).flatten()
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "positions": positions}


def ready(name: str, **settings: Any) -> Any:
    model = families.family(name, **settings)
    attach(model, batch()["input_ids"][:1])
    return model


def step(model: Any) -> Callable[[], None]:
    return lambda: model(**made_really(batch)).sum().backward()


def theory(model: Any, **settings: Any) -> float:
    shape = ModelShape.of_model(model)
    # Torch has no fused kernel on a CPU for keys and values of different widths.
    eager = model.config._attn_implementation == "eager" or shape.scores != shape.values
    return train_flops(shape, ONCE, attention="eager" if eager else "flash", **settings)


def by_shapes(model: Any, run: Callable[[], object]) -> FlopCount:
    with shapes_only(model):
        return count(run)


def counted_both_ways(model: Any) -> FlopCount:
    """A step's count, which is the same for real and on shapes alone."""
    really = count(step(model))
    model.zero_grad()
    counted = by_shapes(model, step(model))
    assert (counted.total, counted.unknown_ops) == (really.total, really.unknown_ops)
    assert all(p.grad is None for p in model.parameters())
    return really


@pytest.mark.parametrize("name", WITH_FORMULA)
def test_a_step_counts_what_the_formulas_say(name: str) -> None:
    model = ready(name)
    counted = counted_both_ways(model)
    assert counted.unknown_ops == ()
    assert counted.total == theory(model)


def with_adapters(model: Any) -> Any:
    settings = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    return peft.get_peft_model(model, settings)


@pytest.mark.parametrize("name", WITH_FORMULA)
def test_a_step_of_adapters_counts_what_the_formulas_say(name: str) -> None:
    """But for the families whose experts peft adapts by adding to all of their weights in every step."""
    model = with_adapters(ready(name))
    if model.peft_config["default"].target_parameters:
        with pytest.raises(NoFormula, match="adapters that are added to experts' weights"):
            theory(model)
        return
    assert count(step(model)).total == pytest.approx(theory(model), rel=0.01)


ADAPTED = ("llama", "gpt2", "olmoe")
"""Adapters of plain matrices, of GPT-2's own kind, and of experts."""


@pytest.mark.parametrize(
    "name", [*ADAPTED, *(pytest.param(n, marks=pytest.mark.slow) for n in WITH_FORMULA if n not in ADAPTED)]
)
def test_a_step_of_adapters_counts_both_ways(name: str) -> None:
    assert counted_both_ways(with_adapters(ready(name))).total > 0


@pytest.mark.parametrize("name", families.NO_FORMULA)
def test_a_step_without_a_formula_counts_both_ways(name: str) -> None:
    assert counted_both_ways(ready(name)).total > 0


@pytest.mark.parametrize("name", WITH_FORMULA)
def test_checkpointed_blocks_cost_what_the_formulas_say(name: str) -> None:
    model = ready(name)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert count(step(model)).total == pytest.approx(theory(model, checkpointing=1), rel=0.01)


def a_row(bucket: Bucket) -> Callable[[], dict[str, Any]]:
    """Arguments of a model for a made row of a bucket's shape."""
    collator = Collator(0, pairs=True, nll_scope="response")
    return lambda: model_inputs(made_really(lambda: collator.synthetic_batch(bucket, families.VOCABULARY)))


ON_ROWS = [
    *((name, "whole") for name in ("llama", "qwen3, heads wider than hidden", "gpt2", "olmoe")),
    ("deepseek_v3, latent attention", "whole"),
    *(("llama", wrap) for wrap in ("adapters", "checkpointed")),
]


@pytest.mark.parametrize(("name", "wrap"), ON_ROWS)
def test_a_step_on_a_row_counts_its_tokens_and_padded_attention(name: str, wrap: str) -> None:
    bucket = Bucket(4, 24, 20, row=50)
    model = ready(name)
    use_flat_attention(model)
    if wrap == "adapters":
        model = with_adapters(model)
    if wrap == "checkpointed":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    run = a_row(bucket)
    counted = count(lambda: model(**run()).sum().backward())
    shape = ModelShape.of_model(model)
    attention: Attention = "eager" if shape.scores != shape.values else "flash"
    expected = train_flops(
        shape, {bucket: 1}, attention=attention, checkpointing=float(wrap == "checkpointed")
    )
    assert counted.unknown_ops == ()
    assert counted.total == expected
    assert by_shapes(model, lambda: model(**run()).sum().backward()).total == counted.total


@pytest.mark.parametrize("experts", ["eager", "batched_mm", "grouped_mm"])
@pytest.mark.parametrize("name", families.EXPERTS)
def test_however_experts_are_multiplied_they_cost_the_same(name: str, experts: str) -> None:
    model = ready(name, experts_implementation=experts)
    counted = count(step(model))
    assert counted.unknown_ops == ()
    assert counted.total == theory(model)


def test_only_the_experts_that_a_token_is_sent_to_count() -> None:
    """Attention 2 * 32 * 32 + 2 * 32 * 16, two of four experts of 3 * 32 * 48, a router of 4 * 32."""
    shape = ModelShape.of_model(families.family("mixtral"))
    assert shape.body == 2 * (2 * 32 * 32 + 2 * 32 * 16 + 2 * 3 * 32 * 48 + 4 * 32)
    assert shape.last == 0


def test_windows_are_read_layer_by_layer() -> None:
    windows = {n: ModelShape.of_model(families.family(n)).windows for n in families.DENSE}
    assert windows["llama"] == (None, None)
    assert windows["mistral, all layers in a window"] == (4, 4)
    assert windows["qwen2, one layer in a window"] == (None, 4)


@pytest.mark.parametrize("name", families.NO_FORMULA)
def test_a_family_without_a_formula_says_which_layer_has_none(name: str) -> None:
    with pytest.raises(NoFormula, match="no formula for"):
        ModelShape.of_model(families.family(name))


@pytest.mark.parametrize("experts", ["eager", "grouped_mm"])
def test_experts_are_counted_by_shapes_and_multiplied_as_before(experts: str) -> None:
    model = ready("mixtral", experts_implementation=experts)
    assert by_shapes(model, step(model)).total == theory(model)
    assert model.config._experts_implementation == experts


@pytest.mark.parametrize("name", WITH_FORMULA)
def test_a_reference_pass_counts_what_the_formulas_say(name: str) -> None:
    model = ready(name)
    with torch.no_grad():
        counted = count(lambda: model(**batch()))
    assert counted.total == forward_flops(ModelShape.of_model(model), ONCE)


@pytest.mark.parametrize("name", families.TRAINABLE)
def test_log_probs_are_the_models_own(name: str) -> None:
    model = ready(name).eval()
    inputs = batch()
    ids, positions = inputs["input_ids"], inputs["positions"]
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=inputs["attention_mask"]).logits.float()
        own = logits.log_softmax(-1).flatten(0, 1)[positions].gather(1, ids.flatten()[positions + 1, None])
        assert torch.allclose(model(**inputs), own.squeeze(1), atol=1e-4)
