"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, eq. 7)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from harness.methods import Objective, PairLogProbs, reward_metrics
from harness.pipeline.training_spec import ReferenceConfig, StockConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="DPO",
    cites=(
        arxiv(
            "rafailov2023",
            author="Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Ermon, Stefano and "
            "Manning, Christopher D. and Finn, Chelsea",
            title="Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
            year="2023",
            number="2305.18290",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(ReferenceConfig, StockConfig):
    """`beta` weighs the KL term towards the reference (eq. 3)."""

    beta: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _stock_trl_scores_its_reference_in_the_loop(self) -> Config:
        if self.implementation == "trl" and self.reference == "precomputed":
            raise ValueError(
                "stock TRL computes reference log-probs in its constructor, off every clock: take "
                "reference: in_loop with implementation: trl"
            )
        if self.implementation == "trl" and self.reference == "none":
            raise ValueError(
                "stock TRL always scores a reference: leave reference: none or implementation out"
            )
        return self


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (log-ratio of chosen - log-ratio of rejected)), the mean over pairs."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin = config.beta * (chosen.log_ratios() - rejected.log_ratios())
    return Objective(per_pair={"preference": -logsigmoid(margin)}, metrics=reward_metrics(margin))
