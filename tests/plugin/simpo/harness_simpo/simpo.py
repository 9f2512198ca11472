"""Simple preference optimisation (Meng et al. 2024, arXiv 2405.14734, eq. 6).

L = -log sigmoid(beta * (mean log p(chosen) - mean log p(rejected)) - gamma), the mean over pairs.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs
from harness.pipeline.training_spec import TrainConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="SimPO",
    cites=(
        arxiv(
            "meng2024",
            author="Meng, Yu and Xia, Mengzhou and Chen, Danqi",
            title="{SimPO}: Simple Preference Optimization with a Reference-Free Reward",
            year="2024",
            number="2405.14734",
        ),
    ),
    data="pairs",
    reference=False,
    sequences_per_pair=2,
)


class Config(TrainConfig):
    """`beta` scales the rewards, `gamma` is the margin that they should have."""

    beta: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(ge=0)]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """A reward is beta times the mean log-prob per token; no reference is needed."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = (config.beta * side.means() for side in batch.sides)
    margin = chosen - rejected
    return Objective(
        per_pair={"preference": -logsigmoid(margin - config.gamma)},
        metrics={"reward_margin": margin, "reward_accuracy": (margin > 0).float()},
    )
