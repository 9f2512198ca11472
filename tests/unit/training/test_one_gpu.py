"""Several visible GPUs, which libraries spread a batch over or refuse: a stage sees one of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
import transformers

from harness.measure import gpus
from harness.measure.nvml import ListedGpu
from harness.stages.runner import child_environment
from harness.training.run import train

STOCK = {"implementation": "trl", "epochs": 1}


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has two, of which transformers counts those that the variable leaves visible."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    listed = [ListedGpu(index, "H100", f"GPU-{index}", 80 << 30) for index in range(2)]
    monkeypatch.setattr(gpus, "list_gpus", lambda: listed)
    count = property(lambda _: len(os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")))
    monkeypatch.setattr(transformers.TrainingArguments, "n_gpu", count)


def test_two_gpus_crash_a_stage_that_sees_both(make_job: Any, two_gpus: None) -> None:
    with pytest.raises(ValueError, match="several GPUs are visible"):
        train(make_job("sft", **STOCK))


def test_a_stage_as_the_runner_starts_it_trains(
    make_job: Any, two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in child_environment().items():
        monkeypatch.setenv(name, value)
    facts = train(make_job("sft", **STOCK)).facts
    assert (facts.effective_batch_pairs, facts.micro_batch_pairs) == (4, 2)
