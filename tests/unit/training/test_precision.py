"""Whether rounding decides what training does: shares of weights that move, and one form everywhere."""

from __future__ import annotations

import math
import shutil
from typing import Any

import pytest
import torch
from few import few

from harness.errors import UserError
from harness.generate.load import load_model
from harness.generate.logprobs import pair_log_probs
from harness.generate.precision import resolve_precision, round_as_autocast_does
from harness.measure import device
from harness.pipeline.model_form import ModelForm
from harness.pipeline.training_spec import TrainConfig
from harness.training.collate import read_rows
from harness.training.load import load_base
from harness.training.run import train
from harness.training.updates import lost_to_bfloat16

# The full fine-tuning rates of pipelines/ultrafeedback.yaml.
SHIPPED: dict[str, dict[str, float]] = {
    "sft": {"learning_rate": 2.0e-5},
    "dpo": {"learning_rate": 5.0e-7, "beta": 0.1},
    "orpo": {"learning_rate": 8.0e-6, "lambda": 0.25},
}


def trained(make_job: Any, method: str, precision: str, **more: Any) -> Any:
    job = make_job(
        method,
        name=f"{method}-{precision}",
        precision=precision,
        max_steps=32,
        **{**SHIPPED[method], **more},
    )
    return train(job).facts


@pytest.mark.slow
@pytest.mark.parametrize("method", SHIPPED)
def test_mixed_moves_nearly_all_weights_at_the_shipped_rates(make_job: Any, method: str) -> None:
    facts = trained(make_job, method, "mixed")
    assert (facts.precision, facts.dtype) == ("mixed", "float32")
    # Embeddings of words that twelve pairs do not hold have no gradient.
    assert facts.updates.moved_share > 0.97
    assert facts.updates.lost_to_bfloat16 > 0.5
    assert facts.updates.sampled_steps >= 5


@pytest.mark.slow
def test_bfloat16_freezes_dpo_and_the_guard_says_so(make_job: Any) -> None:
    moved = {m: trained(make_job, m, "bfloat16").updates.moved_share for m in ("sft", "dpo")}
    assert moved["sft"] < 0.1
    assert moved["dpo"] < 0.5 * moved["sft"]


def test_what_bfloat16_would_lose_by_hand() -> None:
    before = torch.tensor([1.0, 1.0, 1.0, 1.0])
    after = torch.tensor([1.0 + 2**-12, 1.0 + 2**-6, 1.0, 1.0 - 2**-11])
    assert lost_to_bfloat16(before, after) == pytest.approx(2 / 3)
    assert lost_to_bfloat16(before, before) is None
    assert lost_to_bfloat16(before.bfloat16(), after.bfloat16()) is None


@pytest.mark.parametrize("settings", [{}, {"reference": "precomputed"}, {"lora": {"r": 2}}])
def test_mixed_policy_and_reference_are_one_function_at_the_start(make_job: Any, settings: Any) -> None:
    facts = train(make_job("dpo", precision="mixed", beta=0.1, max_steps=1, **settings)).facts
    assert facts.first_loss == pytest.approx(math.log(2), abs=1e-6)
    assert facts.reference.weights == facts.weights_at_start


def test_rounding_what_autocast_rounds_changes_no_log_prob(make_job: Any) -> None:
    job = make_job("sft", precision="mixed")
    rows = read_rows(job.prepared / "test.parquet")
    model = load_base(job.model, None, job.config).eval()
    plain = pair_log_probs(model, rows, 0, 4)
    round_as_autocast_does(model)
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert model.model.norm.weight.dtype == torch.float32
    assert (pair_log_probs(model, rows, 0, 4).chosen_sum == plain.chosen_sum).all()


@pytest.mark.parametrize("lora", [None, {"r": 2}])
@pytest.mark.parametrize("precision", few(["float32", "mixed", "bfloat16"], "mixed"))
def test_a_model_is_scored_as_it_was_trained(make_job: Any, probed: None, precision: str, lora: Any) -> None:
    """The last probe of a stage, which reads the policy itself, and the saved model agree bit for bit."""
    job = make_job("sft", precision=precision, lora=lora, max_steps=3)
    facts = train(job).facts
    form = ModelForm(precision=precision, adapters=lora is not None)
    loaded = load_model(str(job.out / "model"), job.prepared / "tokenizer", stop_token_ids=[2], form=form)
    rows = read_rows(job.prepared / "test.parquet").first(int(facts.probe_last["probe_pairs"]))
    scored = pair_log_probs(loaded.model, rows, 0, job.config.micro_batch_size)
    assert scored.chosen_mean.mean() == pytest.approx(facts.probe_last["probe_logp_chosen"], abs=1e-7)


def test_auto_needs_bfloat16_of_the_hardware(monkeypatch: Any) -> None:
    assert resolve_precision("auto").kind == "float32"
    for native, kind in ((True, "mixed"), (False, "float32")):
        monkeypatch.setattr(device, "native_bfloat16", lambda native=native: native)
        assert resolve_precision("auto").kind == kind


def test_the_old_name_says_what_it_is_called_now() -> None:
    with pytest.raises(ValueError, match="dtype is called precision now"):
        TrainConfig.model_validate({"learning_rate": 1e-3, "dtype": "auto"})


def test_stochastic_rounding_needs_an_optimizer_that_does_it_and_its_library(
    make_job: Any, monkeypatch: Any
) -> None:
    with pytest.raises(ValueError, match="paged_adamw_32bit does not round stochastically"):
        make_job("sft", precision="bfloat16_stochastic", optimizer="paged_adamw_32bit")
    monkeypatch.setitem(__import__("sys").modules, "torchao", None)
    with pytest.raises(UserError, match=r"needs torchao.*orpo-harness\[stochastic\]"):
        train(make_job("sft", precision="bfloat16_stochastic", max_steps=1))


@pytest.mark.slow
def test_stochastic_rounding_moves_what_bfloat16_freezes(make_job: Any) -> None:
    pytest.importorskip("torchao")
    if shutil.which("c++") is None:
        pytest.skip("torchao compiles its step, and there is no C++ compiler")
    frozen = trained(make_job, "dpo", "bfloat16").updates
    rounded = trained(make_job, "dpo", "bfloat16_stochastic")
    exact = trained(make_job, "dpo", "float32").updates
    assert rounded.dtype == "bfloat16"
    assert rounded.updates.moved_share > 5 * frozen.moved_share
    # Rounding at random adds noise, and the sum of what was rounded away is no longer lost.
    assert rounded.updates.relative_norm > exact.relative_norm
