"""Hinge on DPO's margin (SLiC-HF, Zhao et al. 2023, arXiv 2305.10425, with DPO's log-ratios in place of
log-probs, as TRL takes it: `loss_type: hinge`)."""

from __future__ import annotations

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="Hinge (SLiC)",
    cites=(
        arxiv(
            "zhao2023",
            author="Zhao, Yao and Joshi, Rishabh and Liu, Tianqi and Khalman, Misha and Saleh, Mohammad and "
            "Liu, Peter J.",
            title="{SLiC-HF}: Sequence Likelihood Calibration with Human Feedback",
            year="2023",
            number="2305.10425",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(dpo.Config):
    """1 / `beta` is the margin of log-ratios from which a pair counts no more."""


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """max(0, 1 - beta * (log-ratio of chosen - that of rejected)), the mean over pairs."""
    chosen, rejected = batch.sides
    margin = config.beta * (chosen.log_ratios() - rejected.log_ratios())
    return Objective(per_pair={"preference": (1 - margin).relu()}, metrics=reward_metrics(margin))
