"""DPO with log-ratios per token (length-normalised DPO; TRL's `loss_type: sigmoid_norm`).

Tulu 3 (Lambert et al. 2024, arXiv 2411.15124) trains with it.
"""

from __future__ import annotations

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="Length-normalised DPO",
    cites=(
        *dpo.ABOUT.cites,
        arxiv(
            "lambert2024",
            author="Lambert, Nathan and Morrison, Jacob and Pyatkin, Valentina and others",
            title="Tulu 3: Pushing Frontiers in Open Language Model Post-Training",
            year="2024",
            number="2411.15124",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(dpo.Config):
    """`beta` weighs mean log-ratios, which are as many times smaller as answers have tokens."""


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """-log sigmoid(beta * (mean log-ratio of chosen - that of rejected)), the mean over pairs."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    margin = config.beta * (chosen.mean_log_ratios() - rejected.mean_log_ratios())
    return Objective(per_pair={"preference": -logsigmoid(margin)}, metrics=reward_metrics(margin))
