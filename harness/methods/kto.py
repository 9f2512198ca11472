"""KTO: answers judged good or bad one by one, against what the policy already prefers anywhere (Ethayarajh et
al. 2024, arXiv 2402.01306, eq. 7 and 8). TRL's trainer alone computes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from harness.pipeline.training_spec import OnlyTrlConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="KTO",
    cites=(
        arxiv(
            "ethayarajh2024",
            author="Ethayarajh, Kawin and Xu, Winnie and Muennighoff, Niklas and Jurafsky, Dan and "
            "Kiela, Douwe",
            title="{KTO}: Model Alignment as Prospect Theoretic Optimization",
            year="2024",
            number="2402.01306",
        ),
    ),
    data="pairs",
    reference=True,
    sequences_per_pair=2,
    forwards_per_pair=4,
    only="trl",
    takes_pairs="took a pair as two examples, its chosen answer as desirable and its rejected one as not, "
    "and measured both from answers to other prompts of the micro-batch",
)


class Config(OnlyTrlConfig):
    """A pair is two examples, its chosen answer desirable and its rejected one not, weighed by their weights.
    `beta` scales log-ratios; their mean over prompts with answers of other prompts of the micro-batch is what
    they are measured from."""

    beta: Annotated[float, Field(gt=0)]
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _a_micro_batch_holds_two_prompts(self) -> Config:
        if self.micro_batch_size < 2:
            raise ValueError(
                "KTO reads a prompt with an answer of another prompt of the micro-batch: micro_batch_size is "
                "at least 2"
            )
        return self
