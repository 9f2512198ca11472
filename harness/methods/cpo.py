"""Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417): DPO's loss with a uniform
reference, and an NLL of the chosen answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.methods import Objective, PairLogProbs, reward_metrics
from harness.pipeline.training_spec import StockConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="CPO",
    cites=(
        arxiv(
            "xu2024",
            author="Xu, Haoran and Sharaf, Amr and Chen, Yunmo and Tan, Weiting and Shen, Lingfeng and "
            "Van Durme, Benjamin and Murray, Kenton and Kim, Young Jin",
            title="Contrastive Preference Optimization: Pushing the Boundaries of {LLM} Performance in "
            "Machine Translation",
            year="2024",
            number="2401.08417",
        ),
    ),
    data="pairs",
    reference=False,
    sequences_per_pair=2,
)


class Config(StockConfig):
    """`beta` scales summed log-probs; `alpha` weighs the NLL, 1 in the paper and TRL's `cpo_alpha`."""

    beta: Annotated[float, Field(gt=0)]
    alpha: Annotated[float, Field(ge=0)] = 1.0
    nll_scope: Literal["response"] = "response"


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (log-prob of chosen - that of rejected)) of pairs, alpha * NLL of tokens."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin = config.beta * (chosen.sums() - rejected.sums())
    return Objective(
        per_token={"nll": config.alpha * chosen.negative_log_likelihood()},
        per_pair={"preference": -logsigmoid(margin)},
        metrics=reward_metrics(margin),
    )
