"""trl.experimental.orpo.ORPOTrainer: an NLL over prompt and answer, and the odds ratio."""

from __future__ import annotations

from typing import Any, ClassVar

from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from harness.errors import UserError
from harness.methods.orpo import Config
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.concatenated import Concatenated
from harness.training.stock.texts import preference_texts


class StockORPO(Concatenated, ORPOTrainer):
    """TRL's ORPO."""

    nll_scope = "prompt+response"
    names: ClassVar = {
        "nll_loss": "nll",
        "log_odds_ratio": "log_odds_ratio",
        "log_odds_chosen": "log_odds_margin",
        "logps/chosen": "logp_chosen",
        "logps/rejected": "logp_rejected",
        "rewards/accuracies": "preference_accuracy",
    }


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockORPO:
    """Stock ORPO over the texts of `data`."""
    config = job.config
    assert isinstance(config, Config)
    if config.early_stopping is not None:
        raise UserError("early_stopping is for implementation: matched", remedy="leave one of them out")
    settings = arguments(
        ORPOConfig,
        job,
        beta=config.lambda_,
        max_length=job.facts.max_length,
        disable_dropout=False,  # Dropout acts in every method or in none.
    )
    settings.remove_unused_columns = False
    return StockORPO(
        job,
        model=policy.model,
        args=settings,
        train_dataset=preference_texts(job),
        processing_class=tokenizer,
    )
