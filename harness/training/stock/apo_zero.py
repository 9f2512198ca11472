"""trl.DPOTrainer with `loss_type: apo_zero`."""

from __future__ import annotations

from typing import Any

from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.dpo import StockDPO, build_with


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockDPO:
    """Stock training over the texts of `data`."""
    return build_with(job, policy, tokenizer, loss_type="apo_zero")
