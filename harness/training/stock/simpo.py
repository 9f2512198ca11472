"""trl.experimental.cpo.CPOTrainer with `loss_type: simpo`, and without the NLL that CPO adds."""

from __future__ import annotations

from typing import Any

from harness.methods.simpo import Config
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.cpo import StockCPO, build_with


class StockSimPO(StockCPO):
    """Its loss holds no NLL."""

    nll_scope = None


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockCPO:
    """Stock training over the texts of `data`."""
    config = job.config
    assert isinstance(config, Config)
    loss = {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": config.beta * config.gamma_beta_ratio}
    return build_with(job, policy, tokenizer, kind=StockSimPO, beta=config.beta, **loss)
