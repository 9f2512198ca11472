"""KTO by TRL's trainer over pairs: its loss is TRL's on the same examples, its pairs are those of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import pytest
import torch
import transformers
import trl

from harness.training.arguments import arguments
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import load_base, load_policy, load_tokenizer
from harness.training.order import epoch_order
from harness.training.run import train
from harness.training.stock.kto import PairBatches
from harness.training.stock.texts import judged_texts

MakeJob = Callable[..., TrainJob]
SETTINGS = {"beta": 0.5, "undesirable_weight": 1.5, "max_steps": 2, "warmup_ratio": 0.0}


def trainer_of(job: TrainJob) -> StageTrainer:
    transformers.set_seed(job.seed)
    rows = read_rows(job.prepared / "train.parquet")
    return build(job, load_policy(job), load_tokenizer(job.prepared), rows, None)


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_the_loss_is_that_of_trl_on_examples_in_the_same_order(make_job: MakeJob) -> None:
    """TRL's own trainer, given the examples of each micro-batch one after the other."""
    job = make_job("kto", batch_size=4, micro_batch_size=2, **SETTINGS)
    ours = trainer_of(job)
    ours.prepare_reference()
    found = losses(ours)
    examples, order = judged_texts(job), epoch_order(len(ours.train_dataset), job.seed, 0)
    places = [2 * i + side for start in range(0, 8, 2) for side in (0, 1) for i in order[start : start + 2]]
    settings = arguments(
        trl.KTOConfig,
        make_job("kto", name="plain", batch_size=4, micro_batch_size=4, **SETTINGS),
        max_length=job.facts.max_length,
        beta=0.5,
        undesirable_weight=1.5,
        disable_dropout=False,
    )
    settings.gradient_accumulation_steps = 2
    transformers.set_seed(job.seed)
    plain = trl.KTOTrainer(
        model=load_policy(job).model,
        ref_model=load_base(job.model, None, job.config, own_code=False),
        args=settings,
        train_dataset=datasets.Dataset.from_list([examples[i] for i in places]),
        processing_class=load_tokenizer(job.prepared),
    )
    assert found == pytest.approx(losses(plain), abs=1e-5)
    assert found[0] == pytest.approx(0.5 * (1 + 1.5) / 2, abs=1e-6), "policy and reference are equal"
    assert abs(found[1] - found[0]) > 1e-3


def test_mismatched_answers_are_of_other_prompts_and_as_wide() -> None:
    def collate(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = {}
        for prefix, answer in (("", "completion_ids"), ("KL_", "KL_completion_ids")):
            ids = [example["prompt_ids"] + example[answer] for example in examples]
            width = max(map(len, ids))
            whole = torch.tensor([row + [0] * (width - len(row)) for row in ids])
            batch |= {f"{prefix}{name}": whole for name in ("input_ids", "attention_mask", "completion_mask")}
        return batch

    def example(prompt: int, answer: list[int]) -> dict[str, Any]:
        return {"prompt_ids": [prompt], "completion_ids": answer}

    pairs = [(example(1, [11, 11, 11]), example(1, [12])), (example(2, [21]), example(2, [22, 22]))]
    batch = PairBatches(collate, 0)(pairs)
    matched, mismatched = batch["input_ids"], batch["KL_input_ids"]
    assert matched[:, 0].tolist() == mismatched[:, 0].tolist() == [1, 2, 1, 2]
    assert matched[:, 1].tolist() == [11, 21, 12, 22]
    assert mismatched[:, 1].tolist() == [22, 11, 21, 12]
    assert matched.shape == mismatched.shape


@pytest.mark.parametrize("lora", [None, pytest.param({"r": 4, "alpha": 8}, marks=pytest.mark.slow)])
def test_its_pairs_are_those_of_dpo_and_its_passes_all_count(make_job: MakeJob, lora: Any) -> None:
    outcomes = [
        train(make_job(method, name=method, beta=0.5, lora=lora, epochs=2)) for method in ("kto", "dpo")
    ]
    kto, dpo = (outcome.facts for outcome in outcomes)
    for name in ("chosen_ids", "rejected_ids", "pairs", "tokens_real"):
        assert getattr(kto.batches, name) == getattr(dpo.batches, name), name
    assert kto.implementation == "trl"
    assert kto.reference is not None
    assert kto.reference.weights == kto.weights_at_start
    found = {entry.quantity: entry.value for entry in outcomes[0].ledger}
    assert found["flops"] == pytest.approx(found["flops_theory"], rel=1e-3)


def test_one_pair_at_a_time_has_no_other_prompt(make_job: MakeJob) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        make_job("kto", beta=0.5, batch_size=2, micro_batch_size=1)
