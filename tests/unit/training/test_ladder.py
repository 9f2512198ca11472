"""Settings at which one method becomes another, or its loss is known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.generate.logprobs import pair_log_probs
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import load_policy, load_tokenizer
from harness.training.run import train

MakeJob = Callable[..., TrainJob]


@pytest.mark.parametrize("scope", ["response", pytest.param("prompt+response", marks=pytest.mark.slow)])
@pytest.mark.parametrize("packing", ["auto", pytest.param("off", marks=pytest.mark.slow)])
def test_orpo_with_lambda_0_is_sft_bit_for_bit(make_job: MakeJob, scope: str, packing: str) -> None:
    settings = {"nll_scope": scope, "packing": packing, "epochs": 2}
    weights = []
    for method, own in (("sft", {}), ("orpo", {"lambda": 0.0}), ("orpo", {"lambda": 0.3})):
        job = make_job(method, name=f"{method}{own}", **settings, **own)
        train(job)
        weights.append(load_file(job.out / "model" / "model.safetensors"))
    sft, without, with_it = weights
    assert all(torch.equal(sft[name], without[name]) for name in sft)
    assert any(not torch.equal(sft[name], with_it[name]) for name in sft), "the term changes something"


def test_reference_free_dpo_starts_at_its_closed_form(make_job: MakeJob) -> None:
    """-log sigmoid(beta * (log p(chosen) - log p(rejected))) of the model that it starts from."""
    job = make_job("dpo", beta=0.1, reference="none", batch_size=4, micro_batch_size=4, max_steps=1)
    policy = load_policy(job)
    rows = read_rows(job.prepared / "train.parquet")
    trainer: StageTrainer = build(job, policy, load_tokenizer(job.prepared), rows, None)
    batch: Any = next(iter(trainer.get_train_dataloader()))
    seen = [rows[i] for i in batch["indices"]]
    before = pair_log_probs(policy.model, seen, 0, 4)
    margin = 0.1 * torch.tensor(before.chosen_sum - before.rejected_sum)
    expected = -torch.nn.functional.logsigmoid(margin).mean()
    trainer.prepare_reference()
    trainer.train()
    first = next(row["metrics"]["loss"] for row in trainer.trace.rows if "loss" in row["metrics"])
    assert first == pytest.approx(float(expected), abs=1e-5)
    assert float(margin.abs().max()) > 1e-3
    assert trainer.reference_facts() is None
