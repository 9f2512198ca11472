"""Which trainer a job gets: the matched one, stock TRL's, or the method's own."""

from __future__ import annotations

import importlib
from typing import Any

from harness.methods import load_method
from harness.records import Implementation
from harness.training.collate import Rows
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import Policy
from harness.training.router import set_router_loss
from harness.training.trainer import MatchedTrainer

STOCK_ROOM = "harness.training.stock"


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StageTrainer:
    """A trainer of `job` over `data`; `validation` is what early stopping selects on, None without it."""
    method = load_method(job.method)
    set_router_loss(policy.model, job.config.router_aux_loss)
    if getattr(job.config, "implementation", None) == Implementation.STOCK:
        adapter = importlib.import_module(f"{STOCK_ROOM}.{job.method}")
        apart = importlib.import_module(f"{STOCK_ROOM}.clock").preparing_data_apart
        with apart(job.window):
            trainer: StageTrainer = adapter.build(job, policy, tokenizer, data, validation)
    elif hasattr(method, "build"):
        trainer = method.build(job, policy, tokenizer, data, validation)
    else:
        trainer = MatchedTrainer(job, method, policy, tokenizer, data, validation)
    return trainer
