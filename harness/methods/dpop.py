"""DPO-positive (Pal et al. 2024, arXiv 2402.13228): DPO that a chosen answer's falling log-prob costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, reward_metrics
from harness.pipeline.training_spec import ReferenceConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="DPO-positive",
    cites=(
        arxiv(
            "pal2024",
            author="Pal, Arka and Karkhanis, Deep and Dooley, Samuel and Roberts, Manley and "
            "Naidu, Siddartha and White, Colin",
            title="Smaug: Fixing Failure Modes of Preference Optimisation with {DPO-Positive}",
            year="2024",
            number="2402.13228",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(ReferenceConfig):
    """`beta` is DPO's; `lambda` weighs the penalty, which the paper sets to 5 to 500."""

    beta: Annotated[float, Field(gt=0)]
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (log-ratio of chosen - that of rejected - lambda * max(0, -that of chosen)))."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = (side.log_ratios() for side in batch.sides)
    margin = config.beta * (chosen - rejected)
    fallen = config.beta * config.lambda_ * (-chosen).relu()
    return Objective(
        per_pair={"preference": -logsigmoid(margin - fallen)},
        metrics={**reward_metrics(margin), "chosen_fell": (chosen < 0).float()},
    )
