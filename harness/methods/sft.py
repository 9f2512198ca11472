"""Supervised fine-tuning on the chosen answers (Ouyang et al. 2022, arXiv 2203.02155, section 3.5).

L = -sum log p(token) / number of tokens, both over the effective batch.
"""

from __future__ import annotations

from typing import Literal

from harness.methods import Objective, PairLogProbs
from harness.pipeline.training_spec import StockConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="SFT",
    cites=(
        arxiv(
            "ouyang2022",
            author="Ouyang, Long and others",
            title="Training language models to follow instructions with human feedback",
            year="2022",
            number="2203.02155",
        ),
    ),
    data="chosen",
    reference=False,
    sequences_per_pair=1,
)


class Config(StockConfig):
    """`nll_scope`: whether the prompt's tokens are learned too."""

    nll_scope: Literal["response", "prompt+response"] = "response"


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """The negative log-likelihood of the chosen answers."""
    return Objective(per_token={"nll": batch.chosen.negative_log_likelihood()})
