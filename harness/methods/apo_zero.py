"""Anchored preference optimisation, zero (D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7; TRL's
`loss_type: apo_zero`): for answers that are better than what the model gives by itself."""

from __future__ import annotations

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="APO-zero",
    cites=(
        arxiv(
            "doosterlinck2024",
            author="D'Oosterlinck, Karel and Xu, Winnie and Develder, Chris and Demeester, Thomas and "
            "Singh, Amanpreet and Potts, Christopher and Kiela, Douwe and Mehri, Shikib",
            title="Anchored Preference Optimization and Contrastive Revisions: Addressing "
            "Underspecification in Alignment",
            year="2024",
            number="2408.06266",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(dpo.Config):
    """`beta` scales the log-ratios of both answers, each of which has its own sigmoid."""


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """1 - sigmoid(beta * log-ratio of chosen) + sigmoid(beta * that of rejected), the mean over pairs."""
    chosen, rejected = (config.beta * side.log_ratios() for side in batch.sides)
    loss = (-chosen).sigmoid() + rejected.sigmoid()
    return Objective(per_pair={"preference": loss}, metrics=reward_metrics(chosen - rejected))
