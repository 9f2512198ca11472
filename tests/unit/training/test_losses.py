"""The objectives: formulas by hand, gradients whatever the micro-batch, and settings."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from harness.methods import SideLogProbs, log1mexp, log_odds
from harness.methods.orpo import Config
from harness.records import HeadKind, Implementation
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.load import load_policy, load_tokenizer
from harness.training.order import epoch_order
from harness.training.run import train


def trainer_of(job: Any) -> Any:
    rows = read_rows(job.prepared / "train.parquet")
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, None)
    trainer.prepare_reference()
    return trainer


def test_log1mexp_by_hand_and_finite_at_zero() -> None:
    x = torch.tensor([-5.0, -0.1, -0.01], requires_grad=True)
    expected = [math.log(1 - math.exp(v)) for v in (-5.0, -0.1, -0.01)]
    assert log1mexp(x).tolist() == pytest.approx(expected, rel=1e-4)
    zero = torch.tensor([0.0, -1e-9], requires_grad=True)
    log1mexp(zero).sum().backward()
    assert torch.isfinite(log1mexp(zero)).all()
    assert torch.isfinite(zero.grad).all()


def test_log_odds_of_known_probabilities() -> None:
    odds = log_odds(torch.tensor([math.log(0.8)]), torch.tensor([math.log(0.5)]))
    assert odds.item() == pytest.approx(math.log((0.8 / 0.2) / (0.5 / 0.5)), rel=1e-5)


def test_loss_and_gradient_are_finite_at_a_mean_log_prob_of_zero() -> None:
    chosen = torch.tensor([0.0], requires_grad=True)
    loss = -torch.nn.functional.logsigmoid(log_odds(chosen, torch.tensor([-1.0]))).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(chosen.grad).all()


def test_sequence_means_ignore_what_is_not_scored() -> None:
    response = torch.tensor([[True, True, False]])
    side = SideLogProbs(torch.tensor([[-1.0, -3.0, -9.0]]), response, response)
    assert side.means().tolist() == [-2.0]
    assert side.sums().tolist() == [-4.0]
    assert side.negative_log_likelihood().tolist() == [[1.0, 3.0, 0.0]]


@pytest.mark.parametrize("name", ["beta", "alpha", "lambda_or", "orpo_alpha", "orpo_beta"])
def test_other_names_of_lambda_say_what_it_is_called(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no key of ORPO here.*`lambda`"):
        Config.model_validate({"learning_rate": 1e-3, name: 0.1})


def test_every_arm_sees_pairs_in_the_same_order() -> None:
    assert epoch_order(50, 3, 0) == epoch_order(50, 3, 0)
    assert sorted(epoch_order(50, 3, 0)) == list(range(50))
    assert epoch_order(50, 3, 0) != epoch_order(50, 3, 1)
    assert epoch_order(50, 3, 0) != epoch_order(50, 4, 0)


def gradients(trainer: Any) -> tuple[float, torch.Tensor]:
    """Loss and gradient of the first effective batch, through Trainer's own training_step."""
    loader = iter(trainer.get_train_dataloader())
    steps = trainer.args.gradient_accumulation_steps
    batches, items = trainer.get_batch_samples(loader, steps, trainer.args.device)
    trainer.current_gradient_accumulation_steps = len(batches)
    loss = sum(float(trainer.training_step(trainer.model, dict(b), items)) for b in batches)
    flat = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return loss, torch.cat(flat)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sft", {}),
        ("dpo", {"beta": 0.5}),
        ("orpo", {"lambda": 0.5}),
        ("orpo", {"lambda": 0.5, "nll_scope": "prompt+response"}),
    ],
)
def test_micro_batches_of_any_size_give_the_same_gradient(make_job: Any, method: str, settings: Any) -> None:
    found = [
        gradients(trainer_of(make_job(method, micro_batch_size=size, name=f"o{size}", **settings)))
        for size in (1, 2, 4)
    ]
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], abs=1e-6)
        assert torch.allclose(gradient, found[0][1], atol=1e-6)
    assert found[0][1].abs().max() > 1e-3


def test_stock_orpo_trains_and_says_what_it_scores(make_job: Any) -> None:
    job = make_job("orpo", implementation="trl", **{"lambda": 0.2})
    outcome = train(job)
    assert outcome.facts.nll_scope == "prompt+response"
    assert outcome.facts.implementation is Implementation.STOCK
    assert outcome.facts.head is not None
    assert outcome.facts.head.kind is HeadKind.FULL_LOGITS
    found = {m.quantity: m.value for m in outcome.ledger}
    assert found["flops"] == pytest.approx(found["flops_theory"], rel=0.01)


def test_stock_orpo_refuses_a_response_only_nll_before_anything_runs() -> None:
    settings = {"learning_rate": 0.1, "implementation": "trl", "lambda": 0.2}
    with pytest.raises(ValueError, match="leave nll_scope out"):
        Config.model_validate({**settings, "nll_scope": "response"})
    planned = Config.model_validate(settings).model_dump(mode="json", by_alias=True)
    assert Config.model_validate(planned).nll_scope == "prompt+response"


def test_orpo_holds_no_reference_model(make_job: Any) -> None:
    trainer = trainer_of(make_job("orpo", **{"lambda": 0.1}))
    assert trainer.reference is None
    assert trainer.reference_facts() is None
