"""DPO that allows for flipped labels: the rDPO loss (Chowdhury et al. 2024, arXiv 2403.00409), TRL's
`loss_type: robust`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="Robust DPO",
    cites=(
        arxiv(
            "chowdhury2024",
            author="Chowdhury, Sayak Ray and Kini, Anush and Natarajan, Nagarajan",
            title="Provably Robust {DPO}: Aligning Language Models with Noisy Feedback",
            year="2024",
            number="2403.00409",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(dpo.Config):
    """`label_smoothing` is the share of pairs whose labels are flipped, the paper's epsilon."""

    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """DPO's loss, unbiased under flips: ((1 - e) * loss - e * loss of the flipped pair) / (1 - 2 e)."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin, flips = config.beta * (chosen.log_ratios() - rejected.log_ratios()), config.label_smoothing
    loss = -(1 - flips) * logsigmoid(margin) + flips * logsigmoid(-margin)
    return Objective(per_pair={"preference": loss / (1 - 2 * flips)}, metrics=reward_metrics(margin))
