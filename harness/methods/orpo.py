"""Odds ratio preference optimisation in a single stage (Hong et al. 2024, arXiv 2403.07691).

L = NLL(chosen) - lambda * mean(log sigmoid(log odds ratio)) (eq. 6 and 7).
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
    """`lambda` weighs the odds-ratio term (eq. 6); the paper uses 0.1 to 1.0."""

    lambda_: Annotated[float, Field(gt=0, alias="lambda")]
    nll_scope: Literal["response", "prompt+response"] = "response"

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
        if self.implementation == "trl" and self.nll_scope == "response":
            raise ValueError("stock TRL scores prompt and response: leave nll_scope out")
        return self


def objective(batch: PairLogProbs, config: Config) -> Objective:
    """The NLL of the chosen answers, and the odds-ratio term over pairs."""
    from torch.nn.functional import logsigmoid

    chosen, rejected = batch.sides
    ratio = logsigmoid(log_odds(chosen.means(), rejected.means()))
    return Objective(
        per_token={"nll": chosen.negative_log_likelihood()},
        per_pair={"odds_ratio": -config.lambda_ * ratio},
    )
