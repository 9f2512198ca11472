"""Odds ratio preference optimisation in a single stage (Hong et al. 2024, arXiv 2403.07691).

`implementation: matched` shares data path, collator, fused head and logging with SFT and DPO
here and differs in the loss alone; `trl` is stock trl.experimental.orpo.ORPOTrainer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.methods import TrainJob, TrainOutcome
from harness.pipeline.spec import TrainConfig

OTHER_NAMES = ("beta", "alpha", "lambda_or", "orpo_alpha", "orpo_beta", "orpo_lambda")


class Config(TrainConfig):
    """`lambda` weighs the odds-ratio term (eq. 6); the paper uses 0.1 to 1.0."""

    lambda_: Annotated[float, Field(gt=0, alias="lambda")]
    nll_scope: Literal["response", "prompt+response"] = "response"
    implementation: Literal["matched", "trl"] = "matched"

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


def train(job: TrainJob) -> TrainOutcome:
    """Train with the chosen implementation."""
    from harness.methods import _engine

    return _engine.train(job, _builder(job))


def rehearse(job: TrainJob, steps: int) -> dict[str, Any]:
    """`steps` steps, and what they foretell of the whole."""
    from harness.methods import _calibrate

    return _calibrate.rehearse(job, _builder(job), steps)


def _builder(job: TrainJob) -> Any:
    from harness.methods import _orpo_trainer, _stock_orpo

    assert isinstance(job.config, Config)
    return _stock_orpo.build if job.config.implementation == "trl" else _orpo_trainer.build
