"""AlphaPO: SimPO's loss with a reward of another shape (Gupta et al. 2025, arXiv 2501.03884).

r(y) = (1 - p^(-alpha)) / alpha with log p the mean log-prob of a token of y, and log p where alpha is 0;
L = -log sigmoid(beta * (r(chosen) - r(rejected)) - gamma), the mean over pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, SideLogProbs, reward_metrics
from harness.pipeline.training_spec import TrainConfig
from harness.records import Method
from harness.records.citation import arxiv

if TYPE_CHECKING:
    import torch

ABOUT = Method(
    title="AlphaPO",
    cites=(
        arxiv(
            "gupta2025",
            author="Gupta, Aman and others",
            title="{AlphaPO}: Reward Shape Matters for {LLM} Alignment",
            year="2025",
            number="2501.03884",
        ),
    ),
    data="pairs",
    reference=False,
    sequences_per_pair=2,
)


class Config(TrainConfig):
    """`beta` scales the rewards, `gamma` is the margin that they should have, `alpha` bends them."""

    beta: Annotated[float, Field(gt=0)]
    gamma: Annotated[float, Field(ge=0)]
    alpha: float = 0.25


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """A reward is a function of the mean log-prob per token; no reference is needed."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = (reward(side, config) for side in batch.sides)
    margin = config.beta * (chosen - rejected)
    loss = -logsigmoid(margin - config.gamma)
    return Objective(per_pair={"preference": loss}, metrics=reward_metrics(margin))


def reward(side: SideLogProbs, config: Config) -> torch.Tensor:
    """(pairs,)."""
    if config.alpha == 0:
        return side.means()
    return (1 - (-config.alpha * side.means()).exp()) / config.alpha
