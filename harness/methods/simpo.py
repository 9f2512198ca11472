"""SimPO: the mean log-prob of a token as a reward, and a margin that rewards should have (Meng et al. 2024,
arXiv 2405.14734, eq. 6)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, reward_metrics
from harness.pipeline.training_spec import StockConfig
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


class Config(StockConfig):
    """`beta` scales the rewards; `gamma_beta_ratio` is the margin over beta, as the authors' code has it
    (TRL's `simpo_gamma` is beta times that)."""

    beta: Annotated[float, Field(gt=0)]
    gamma_beta_ratio: Annotated[float, Field(ge=0)]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (mean log-prob of chosen - that of rejected) - gamma), the mean over pairs."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin = config.beta * (chosen.means() - rejected.means())
    loss = -logsigmoid(margin - config.beta * config.gamma_beta_ratio)
    return Objective(per_pair={"preference": loss}, metrics=reward_metrics(margin))
