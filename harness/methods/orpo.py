"""Odds ratio preference optimisation in a single stage (Hong et al. 2024, arXiv 2403.07691).

L = NLL(chosen) - lambda * mean(log sigmoid(log odds ratio)) (eq. 6 and 7). The log odds ratio may be scaled
before the sigmoid (beta of Gorbatovski et al. 2025, arXiv 2502.01237), and the NLL left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.methods import Objective, PairLogProbs, log_odds
from harness.pipeline.training_spec import StockConfig
from harness.records import Method
from harness.records.citation import arxiv

ABOUT = Method(
    title="ORPO",
    cites=(
        arxiv(
            "hong2024",
            author="Hong, Jiwoo and Lee, Noah and Thorne, James",
            title="{ORPO}: Monolithic Preference Optimization without Reference Model",
            year="2024",
            number="2403.07691",
        ),
    ),
    data="pairs",
    reference=False,
    sequences_per_pair=2,
)
OTHER_NAMES = ("beta", "alpha", "lambda_or", "orpo_alpha", "orpo_beta", "orpo_lambda")


class Config(StockConfig):
    """`lambda` weighs the odds-ratio term (eq. 6); the paper uses 0.1 to 1.0. With 0 no rejected answer is
    read, and the stage is SFT. `nll_scope` says which tokens the NLL is over, and `none` leaves it out.
    `odds_ratio_beta` scales the log odds ratio; the paper's loss has 1."""

    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
    nll_scope: Literal["response", "prompt+response", "none"] = "response"
    odds_ratio_beta: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _one_name_for_lambda(cls, data: Any) -> Any:
        for name in OTHER_NAMES:
            if isinstance(data, dict) and name in data:
                raise ValueError(
                    f"{name} is no key of ORPO here; the weight of the odds-ratio term is called "
                    "`lambda` (beta in TRL's ORPOConfig, alpha in the authors' code): write "
                    f"lambda: {data[name]}"
                )
        return data

    @model_validator(mode="before")
    @classmethod
    def _scope_of_the_implementation(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("nll_scope") is None:
            whole = data.get("implementation") == "trl"
            data = {**data, "nll_scope": "prompt+response" if whole else "response"}
        return data

    @model_validator(mode="after")
    def _stock_trl_scores_everything(self) -> Config:
        if self.implementation == "trl" and self.nll_scope != "prompt+response":
            raise ValueError("stock TRL scores prompt and response: leave nll_scope out")
        if self.implementation == "trl" and self.odds_ratio_beta != 1:
            raise ValueError("stock TRL does not scale the log odds ratio: leave odds_ratio_beta out")
        return self

    @model_validator(mode="after")
    def _something_is_learned(self) -> Config:
        if not self.lambda_ and self.nll_scope == "none":
            raise ValueError("lambda: 0 without an NLL leaves no loss; give one of them")
        return self


def about(config: Config) -> Method:
    """Without the odds-ratio term, chosen answers alone are learned from; TRL computes both all the same."""
    if config.lambda_ or config.implementation == "trl":
        return ABOUT
    return ABOUT.model_copy(update={"data": "chosen", "sequences_per_pair": 1})


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """The NLL of the chosen answers, and the odds-ratio term over pairs."""
    from torch.nn.functional import logsigmoid

    nll = {"nll": batch.chosen.negative_log_likelihood()} if config.nll_scope != "none" else {}
    if not config.lambda_:
        return Objective(per_token=nll)
    chosen, rejected = batch.sides
    ratio = logsigmoid(config.odds_ratio_beta * log_odds(chosen.means(), rejected.means()))
    return Objective(per_token=nll, per_pair={"odds_ratio": -config.lambda_ * ratio})
