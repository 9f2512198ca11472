"""One stage on several ranks: the very training of one process, whatever the lengths of each rank's pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ranks import trained_together
from safetensors.torch import load_file

from harness.jsonl import read_jsonl
from harness.training.job import TrainJob, TrainOutcome
from harness.training.run import train

CLOSE = 1e-5
COUNTED = ("flops", "tokens_real", "tokens_padded", "tokens_scored", "pairs", "steps", "reference_flops")


def weights(job: TrainJob) -> dict[str, torch.Tensor]:
    return load_file(next((job.out / "model").glob("*.safetensors")))


def rows(job: TrainJob) -> list[dict[str, Any]]:
    return [row["metrics"] for row in read_jsonl(job.out / "steps.jsonl")]


def counted(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value for m in outcome.ledger if m.quantity in COUNTED}


def assert_equal(one: TrainJob, alone: TrainOutcome, several: TrainJob, shared: TrainOutcome) -> None:
    assert [set(row) for row in rows(several)] == [set(row) for row in rows(one)]
    for ours, theirs in zip(rows(several), rows(one), strict=True):
        ours.pop("elapsed_seconds"), theirs.pop("elapsed_seconds")
        assert ours == pytest.approx(theirs, rel=CLOSE, abs=CLOSE)
    for name, weight in weights(one).items():
        assert (weights(several)[name] - weight).abs().max() < CLOSE, name
    assert counted(shared) == counted(alone)
    assert shared.facts.sequences == alone.facts.sequences
    assert shared.facts.weights_at_start == alone.facts.weights_at_start


METHODS = [
    ("sft", {}),
    ("dpo", {"beta": 0.5}),
    ("orpo", {"lambda": 0.5}),
]


@pytest.mark.parametrize(("method", "settings"), METHODS)
@pytest.mark.parametrize("parallel", ["ddp"])
def test_two_ranks_train_as_one_process(make_job: Any, method: str, settings: Any, parallel: str) -> None:
    # Twelve pairs in steps of eight: the last step of an epoch leaves one rank without a micro-batch.
    common = {"batch_size": 8, "micro_batch_size": 4, "epochs": 2.0, **settings}
    several = make_job(method, name="two", **common)
    shared = trained_together(several)
    one = make_job(method, name="one", **common)
    assert_equal(one, train(one), several, shared)
