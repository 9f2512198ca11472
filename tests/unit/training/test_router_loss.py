"""The experts' load-balancing loss: in every arm alike, off unless one setting asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import families
import pytest
import torch

from harness.errors import UserError
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import load_policy, load_tokenizer
from harness.training.run import train

MakeJob = Callable[..., TrainJob]
METHODS: dict[str, dict[str, Any]] = {
    "sft": {},
    "dpo": {"beta": 0.5},
    "orpo": {"lambda": 0.5, "nll_scope": "prompt+response"},
}
STEPS = {"max_steps": 2, "learning_rate": 1e-7, "warmup_ratio": 0, "batch_size": 4, "micro_batch_size": 4}


@pytest.fixture(params=["mixtral", "qwen3_moe", "qwen2_moe, a shared expert"])
def experts(request: Any, tmp_path: Path, tiny_tokenizer: Any) -> Path:
    """A random model whose configuration asks for the loss, as some of the hub's do."""
    model = families.family(request.param)
    model.config.output_router_logits = True
    model.config.router_aux_loss_coef = 0.7
    folder = tmp_path / "base"
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def losses(job: TrainJob) -> list[float]:
    return [row["metrics"]["loss"] for row in trained(job).trace.rows if "loss" in row["metrics"]]


def trainer_of(job: TrainJob) -> StageTrainer:
    rows = read_rows(job.prepared / "train.parquet")
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, rows)
    trainer.prepare_reference()
    return trainer


def trained(job: TrainJob) -> StageTrainer:
    trainer = trainer_of(job)
    trainer.train()
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize("method", METHODS)
def test_stock_and_matched_add_the_same(
    make_job: MakeJob, experts: Path, method: str, coefficient: float
) -> None:
    shared = {**STEPS, "router_aux_loss": coefficient, "model": str(experts)}
    own = losses(make_job(method, name="own", **shared, **METHODS[method]))
    stock = losses(make_job(method, name="stock", implementation="trl", **shared, **METHODS[method]))
    assert len(own) == STEPS["max_steps"]
    assert own == pytest.approx(stock, abs=2e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [None, {"r": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}])
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_models_own_loss_times_the_coefficient(
    make_job: MakeJob, experts: Path, method: str, lora: Any, checkpointing: bool
) -> None:
    shared = {"model": str(experts), "lora": lora, "gradient_checkpointing": checkpointing}
    settings = {**shared, **METHODS[method]}
    on: Any = trainer_of(make_job(method, name="on", router_aux_loss=0.5, **settings))
    off: Any = trainer_of(make_job(method, name="off", **settings))
    batch = on._prepare_inputs(next(iter(on.get_train_dataloader())))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    for trainer in (on, off):
        trainer.model.eval()
    with torch.no_grad():
        own = float(on.model(**inputs, output_router_logits=True).aux_loss)
        difference = float(on.compute_loss(on.model, batch)) - float(off.compute_loss(off.model, batch))
    assert own > 0.1
    assert difference == pytest.approx(0.5 * own, rel=1e-3)
    assert (on.router_loss(), off.router_loss()) == (0.5, 0.0)


def test_its_gradient_reaches_the_routers(make_job: MakeJob, experts: Path) -> None:
    gradients = []
    for coefficient in (0.0, 5.0):
        job = make_job("orpo", router_aux_loss=coefficient, model=str(experts), **{"lambda": 0.5})
        trainer: Any = trainer_of(job)
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        trainer.model.train()
        trainer.compute_loss(trainer.model, batch).backward()
        named = trainer.model.named_parameters()
        gradients.append({n: p.grad for n, p in named if n.endswith("mlp.gate.weight")})
    assert gradients[0]
    for name, without in gradients[0].items():
        assert float((gradients[1][name] - without).abs().max()) > 1e-4, name


@pytest.mark.slow
def test_what_was_added_is_recorded(make_job: MakeJob, experts: Path) -> None:
    for implementation in ("matched", "trl"):
        settings = {"implementation": implementation, "model": str(experts), **STEPS}
        for coefficient in (0.0, 0.25):
            outcome = train(make_job("sft", router_aux_loss=coefficient, **settings))
            assert outcome.facts.router_loss == coefficient
    assert train(make_job("sft", **STEPS)).facts.router_loss is None


def test_a_dense_model_has_no_such_loss(make_job: MakeJob) -> None:
    with pytest.raises(UserError, match="router_aux_loss is for mixtures of experts"):
        trainer_of(make_job("sft", router_aux_loss=0.1))


def test_a_family_without_the_loss_says_so(make_job: MakeJob, tmp_path: Path, tiny_tokenizer: Any) -> None:
    families.family("deepseek_v3, latent attention").save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    job = replace(make_job("sft", router_aux_loss=0.1), model=str(tmp_path))
    with pytest.raises(UserError, match="DeepseekV3ForCausalLM has no load-balancing loss"):
        trainer_of(job)
