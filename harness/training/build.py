"""Which trainer a job gets: the matched one, stock TRL's, or the method's own."""

from __future__ import annotations

import importlib
from typing import Any

from harness.methods import load_method
from harness.records import Implementation
from harness.training.collate import Rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import Policy
from harness.training.trainer import MatchedTrainer

STOCK_ROOM = "harness.training.stock"


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, held_out: Rows) -> StageTrainer:
    """A trainer of `job` over `data`; `held_out` is what early stopping asks."""
    method = load_method(job.method)
    if getattr(job.config, "implementation", None) == Implementation.STOCK:
        adapter = importlib.import_module(f"{STOCK_ROOM}.{job.method}")
        apart = importlib.import_module(f"{STOCK_ROOM}.clock").preparing_data_apart
        with apart(job.window):
            trainer: StageTrainer = adapter.build(job, policy, tokenizer, data, held_out)
    elif hasattr(method, "build"):
        trainer = method.build(job, policy, tokenizer, data, held_out)
    else:
        trainer = MatchedTrainer(job, method, policy, tokenizer, data, held_out)
    return trainer
