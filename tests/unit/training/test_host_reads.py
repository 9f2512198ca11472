"""The host waits for the device equally often in every method: never for flat rows, and where sequences are
padded once a forward pass, by transformers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.generate.head import causal_lm
from harness.measure.flops import Bucket
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.load import load_policy, load_tokenizer

# What makes a host wait on an accelerator: a value is read, or a size depends on values.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero", "bincount"}


class Waits(TorchDispatchMode):
    """Counts the operations that wait, and look-ups by a mask, whose size is a value."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in WAITS or masked:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sft", {}),
        ("dpo", {"beta": 0.1}),
        ("dpo", {"beta": 0.1, "lora": {"r": 2}}),
        ("orpo", {"lambda": 0.1}),
    ],
)
def test_a_micro_batch_waits_only_where_a_models_forward_does(
    make_job: Any, method: str, settings: Any, precision: str, packing: str
) -> None:
    job = make_job(method, precision=precision, packing=packing, **settings)
    rows = read_rows(job.train_file)
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, rows)
    inputs = trainer.synthetic_batch(Bucket(4, 12, 10, row=30 if packing == "on" else None))
    with Waits() as bare:
        causal_lm(trainer.model).base_model(input_ids=inputs["input_ids"], use_cache=False)
    with Waits() as waits:
        trainer.accelerator.backward(trainer.compute_loss(trainer.model, inputs))
    passes = 2 if method == "dpo" else 1
    once = {"_local_scalar_dense": 1} if packing == "off" else {}
    assert bare.seen == once
    assert waits.seen == {name: times * passes for name, times in once.items()}


def test_the_counter_sees_a_wait() -> None:
    with Waits() as waits:
        values = torch.ones(3)
        float(values.sum())
        values[values > 0]
    assert waits.seen == {"_local_scalar_dense": 1, "index": 1}
