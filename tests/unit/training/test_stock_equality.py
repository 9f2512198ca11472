"""The matched trainer against stock TRL on the same tokens: losses and gradients, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from few import few

from harness.data.prepare import PrepareConfig, prepare
from harness.pipeline.data_spec import DataSpec
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import load_policy, load_tokenizer
from harness.training.run import train

LORA = {"r": 4, "alpha": 8}
TOLERANCE = 1e-5
# In float64 ORPO's gradient on the embedded model lies 1.3e-5 to 3.2e-5 away from both in float32.
TOLERANCE_OF_EMBEDDED_GRADIENTS = 5e-5
STEPS = 3
LEARNING_RATE = 1e-4  # large enough that DPO's margin leaves 0 after the first step
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sft": ("sft", {}, {}),
    "sft lora": ("sft", {"lora": LORA}, {}),
    "dpo in loop": ("dpo", {"beta": 0.5}, {}),
    "dpo precomputed": ("dpo", {"beta": 0.5}, {"reference": "precomputed"}),
    "dpo fresh adapter": ("dpo", {"beta": 0.5, "lora": LORA}, {}),
    "dpo fresh adapter, precomputed": ("dpo", {"beta": 0.5, "lora": LORA}, {"reference": "precomputed"}),
    "orpo": ("orpo", {"lambda": 0.7}, {"nll_scope": "prompt+response"}),
    "ipo": ("ipo", {"beta": 0.1}, {}),
    "sigmoid_norm": ("sigmoid_norm", {"beta": 5.0}, {}),
    "hinge": ("hinge", {"beta": 0.5}, {}),
    "robust": ("robust", {"beta": 0.5, "label_smoothing": 0.1}, {}),
    "apo_zero": ("apo_zero", {"beta": 0.5}, {}),
    "cpo": ("cpo", {"beta": 0.1, "alpha": 0.5}, {}),
    "simpo": ("simpo", {"beta": 2.0, "gamma_beta_ratio": 0.5}, {}),
    "orpo lora": ("orpo", {"lambda": 0.7, "lora": LORA}, {"nll_scope": "prompt+response"}),
}
MakeJob = Callable[..., TrainJob]


class Recorder(transformers.TrainerCallback):  # type: ignore[misc]
    """The gradient that each optimizer step is given, at weights of its own or at those of `like`.

    Adam divides a gradient by its size, which turns rounding into whole steps: from the second step
    on, two trainers that go each their own way compare their paths and not their gradients.
    """

    def __init__(self, trainer: StageTrainer, like: Recorder | None) -> None:
        self._model, self._like = trainer.model, like
        self.weights: list[dict[str, torch.Tensor]] = []
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        if self._like is not None:
            self._model.load_state_dict(self._like.weights[len(self.weights)], strict=False)
        trained = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self.weights.append({n: p.detach().clone() for n, p in trained.items()})

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        named = self._model.named_parameters()
        self.gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})


def trained(job: TrainJob, like: Recorder | None = None) -> tuple[StageTrainer, Recorder]:
    """The trainer of `job` after its steps, each of them begun at the weights of `like`."""
    rows = read_rows(job.prepared / "train.parquet")
    transformers.set_seed(job.seed)
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, None)
    if like is not None:
        trainer.model.load_state_dict(like.weights[0], strict=False)
    trainer.prepare_reference()
    recorder = Recorder(trainer, like)
    trainer.add_callback(recorder)
    trainer.train()
    return trainer, recorder


def assert_equal(
    make_job: MakeJob,
    method: str,
    shared: dict[str, Any],
    own: dict[str, Any],
    gradients_within: float = TOLERANCE,
) -> None:
    """Equal losses, and gradients that differ by a share of the largest one or of 1."""
    shared = {
        "max_steps": STEPS,
        "learning_rate": LEARNING_RATE,
        "warmup_ratio": 0,
        "max_grad_norm": 1e9,
        **shared,
    }
    ours, our_steps = trained(make_job(method, name="ours", **shared, **own))
    stock, stock_steps = trained(make_job(method, name="stock", implementation="trl", **shared), our_steps)
    losses = [
        [row["metrics"]["loss"] for row in trainer.trace.rows if "loss" in row["metrics"]]
        for trainer in (ours, stock)
    ]
    assert len(losses[0]) == STEPS
    assert losses[0] == pytest.approx(losses[1], abs=TOLERANCE)
    for mine, theirs in zip(our_steps.gradients, stock_steps.gradients, strict=True):
        assert mine.keys() == theirs.keys()
        largest = max(float(gradient.abs().max()) for gradient in mine.values())
        assert largest > 100 * gradients_within
        for name, gradient in mine.items():
            difference = float((gradient - theirs[name]).abs().max())
            assert difference <= gradients_within * max(1.0, largest), name


def sizes(method: str, micro: int) -> dict[str, int]:
    """TRL's NLL of pairs averages micro-batches of unequal numbers of tokens, so there one is the batch."""
    return {"micro_batch_size": micro, "batch_size": micro if method in ("orpo", "cpo") else 4}


@pytest.fixture(scope="session")
def gemma(tmp_path_factory: Any, tiny_tokenizer: Any) -> Path:
    """A random Gemma 2: grouped-query attention, tied embeddings, soft-capped logits and scores."""
    torch.manual_seed(0)
    config = transformers.Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        final_logit_softcapping=5.0,
        initializer_range=0.3,
    )
    folder = Path(tmp_path_factory.mktemp("gemma"))
    transformers.Gemma2ForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: Any) -> tuple[Path, Any]:
    """The embedded default, prepared as a run would: its folder and what it found out."""
    folder = Path(tmp_path_factory.mktemp("embedded"))
    config = PrepareConfig(model="embedded", data=DataSpec(limit=12, test_limit=4))
    return folder, prepare(config, folder, lambda done, total, metrics: None)


@pytest.mark.parametrize("micro", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)), 4])
@pytest.mark.parametrize("case", few(CASES, "sft", "dpo in loop", "orpo"))
def test_on_the_embedded_model(make_job: MakeJob, embedded: tuple[Path, Any], case: str, micro: int) -> None:
    method, shared, own = CASES[case]
    folder, facts = embedded

    def make(method: str, **settings: Any) -> TrainJob:
        job = make_job(method, model=facts.model_path, **settings)
        return replace(job, prepared=folder, facts=facts)

    within = TOLERANCE_OF_EMBEDDED_GRADIENTS
    assert_equal(make, method, {**shared, **sizes(method, micro)}, own, within)


@pytest.mark.parametrize("case", few(CASES, "dpo in loop", "orpo"))
def test_on_a_soft_capped_gemma(make_job: MakeJob, gemma: Path, case: str) -> None:
    method, shared, own = CASES[case]

    def make(method: str, **settings: Any) -> TrainJob:
        return make_job(method, model=str(gemma), attention="eager", **settings)

    assert_equal(make, method, {**shared, **sizes(method, 2)}, own)


@pytest.mark.parametrize("reference", few(["in_loop", "precomputed"], "precomputed"))
def test_dpo_that_goes_on_from_an_adapter(make_job: MakeJob, reference: str) -> None:
    job = make_job("sft", name="sft", lora=LORA, epochs=2)
    train(job)

    def make(method: str, **settings: Any) -> TrainJob:
        return make_job(method, model=str(job.out / "model"), **settings)

    assert_equal(make, "dpo", {"beta": 0.5, "lora": LORA}, {"reference": reference})
