"""Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036, eq. 17).

Log-ratios are means over an answer's tokens, as in TRL (`loss_type: ipo`), which says that the authors
confirmed it; sums would let the squared loss grow with length.
"""

from __future__ import annotations

from harness.methods import Objective, PairLogProbs, dpo, reward_metrics
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="IPO",
    cites=(
        arxiv(
            "azar2023",
            author="Azar, Mohammad Gheshlaghi and Rowland, Mark and Piot, Bilal and Guo, Daniel and "
            "Calandriello, Daniele and Valko, Michal and Munos, Remi",
            title="A General Theoretical Paradigm to Understand Learning from Human Preferences",
            year="2023",
            number="2310.12036",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
)


class Config(dpo.Config):
    """`beta` is the paper's tau: mean log-ratios of a pair are drawn to lie 1 / (2 beta) apart."""


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """(mean log-ratio of chosen - mean log-ratio of rejected - 1 / (2 beta))^2, the mean over pairs."""
    chosen, rejected = batch.sides
    margin = chosen.mean_log_ratios() - rejected.mean_log_ratios()
    return Objective(
        per_pair={"preference": (margin - 1 / (2 * config.beta)) ** 2},
        metrics=reward_metrics(config.beta * margin),
    )
