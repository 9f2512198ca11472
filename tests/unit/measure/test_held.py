"""Bytes a weight by precision, against figures by hand and against a trainer's own tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.measure.held import held_bytes
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.load import load_policy, load_tokenizer

BILLION = 10**9


@pytest.mark.parametrize(
    ("precision", "bytes_a_weight"),
    [("float32", 16), ("mixed", 18), ("bfloat16", 8), ("bfloat16_stochastic", 8)],
)
def test_bytes_of_a_trained_weight(precision: str, bytes_a_weight: int) -> None:
    assert held_bytes(trained=BILLION, frozen=0, precision=precision).total == bytes_a_weight * BILLION


def test_adapters_on_a_quantised_base() -> None:
    held = held_bytes(trained=10**7, frozen=7 * BILLION, precision="mixed", quantization="4bit")
    assert held.total / 2**30 == pytest.approx(3.36 + 0.17, abs=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_the_formula_is_what_a_trainer_holds(make_job: Any, precision: str, lora: Any) -> None:
    job = make_job("sft", precision=precision, lora=lora, max_steps=1)
    rows = read_rows(job.train_file)
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, rows)
    trainer.train()
    parameters = list(trainer.model.parameters())
    moments = [t for s in trainer.optimizer.state.values() for t in s.values() if t.dim()]
    trained = [p for p in parameters if p.requires_grad]
    held = held_bytes(
        trained=sum(p.numel() for p in trained),
        frozen=sum(p.numel() for p in parameters if not p.requires_grad),
        precision=precision,
    )
    assert held.weights == _bytes(parameters)
    assert held.optimizer == _bytes(moments)
    assert held.gradients == sum(p.numel() * p.element_size() for p in trained)


def _bytes(tensors: list[torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
