"""trl.experimental.cpo.CPOTrainer: its sigmoid loss and an NLL of the chosen answer, or another loss."""

from __future__ import annotations

from typing import Any, ClassVar

from trl.experimental.cpo import CPOConfig, CPOTrainer

from harness.errors import UserError
from harness.methods.cpo import Config
from harness.training.arguments import arguments
from harness.training.collate import Rows
from harness.training.job import TrainJob
from harness.training.load import Policy
from harness.training.stock.concatenated import Concatenated
from harness.training.stock.texts import preference_texts


class StockCPO(Concatenated, CPOTrainer):
    """TRL's CPO."""

    nll_scope: str | None = "response"
    names: ClassVar = {
        "nll_loss": "nll",
        "rewards/margins": "reward_margin",
        "rewards/accuracies": "reward_accuracy",
    }


def build(job: TrainJob, policy: Policy, tokenizer: Any, data: Rows, validation: Rows | None) -> StockCPO:
    """Stock CPO over the texts of `data`."""
    assert isinstance(job.config, Config)
    return build_with(
        job, policy, tokenizer, loss_type="sigmoid", beta=job.config.beta, cpo_alpha=job.config.alpha
    )


def build_with(
    job: TrainJob, policy: Policy, tokenizer: Any, *, kind: type[StockCPO] | None = None, **loss: Any
) -> StockCPO:
    """TRL's trainer with the settings `loss` of its CPOConfig, which say how a pair is scored."""
    if job.config.early_stopping is not None:
        raise UserError("early_stopping is for implementation: matched", remedy="leave one of them out")
    settings = arguments(
        CPOConfig,
        job,
        **loss,
        max_length=job.facts.max_length,
        disable_dropout=False,  # Dropout acts in every method or in none.
    )
    settings.remove_unused_columns = False
    return (kind or StockCPO)(
        job,
        model=policy.model,
        args=settings,
        train_dataset=preference_texts(job),
        processing_class=tokenizer,
    )
