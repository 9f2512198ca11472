"""Length-regularised DPO, R-DPO (Park et al. 2024, arXiv 2403.19159): a margin for each token of length."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, reward_metrics
from harness.pipeline.training_spec import ReferenceConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="R-DPO",
    cites=(
        arxiv(
            "park2024",
            author="Park, Ryan and Rafailov, Rafael and Ermon, Stefano and Finn, Chelsea",
            title="Disentangling Length from Quality in Direct Preference Optimization",
            year="2024",
            number="2403.19159",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(ReferenceConfig):
    """`beta` is DPO's; `alpha` is the margin that each further token of the chosen answer asks for."""

    beta: Annotated[float, Field(gt=0)]
    alpha: Annotated[float, Field(ge=0)]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (log-ratio of chosen - that of rejected) - alpha * difference in tokens)."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin = config.beta * (chosen.log_ratios() - rejected.log_ratios())
    longer = config.alpha * (chosen.tokens() - rejected.tokens())
    return Objective(per_pair={"preference": -logsigmoid(margin - longer)}, metrics=reward_metrics(margin))
