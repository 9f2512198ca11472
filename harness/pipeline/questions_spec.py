"""What a run shall answer, written down before it: questions, looks at them, aggregates of scores."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from harness.pipeline.spec_model import Positive, SpecModel


class QuestionSpec(SpecModel):
    """One question that the run shall answer, written down before it.

    `quantity` is a score (`benchmark.metric`), an aggregate of scores (`aggregate.NAME`) or a cost
    (`cost.wall_seconds`, ...) of arm `a` against `b`; `roles.py` says what a file that leaves them out
    means. `margin` is how much worse still counts as good: a difference of the score, or a share of the
    cost (0.05: up to 5% more).
    """

    quantity: str
    a: str
    b: str
    margin: Positive | None = None


class LookSpec(SpecModel):
    """Which of a comparison's looks a run is, counted from 1; written by `--until-decided`, by no file.

    `weights` are the looks' shares of the error, in order; they sum to 1. `earlier` are the runs of the
    looks before this one.
    """

    number: PositiveInt
    weights: Annotated[list[Positive], Field(min_length=1)]
    earlier: list[str] = Field(default_factory=list)

    @property
    def weight(self) -> float:
        """This look's share of the error."""
        return self.weights[self.number - 1]


class AggregateSpec(SpecModel):
    """Several scores as one quantity, `aggregate.NAME`: a weighted mean of differences in units of `scales`.

    `weights` by `benchmark.metric` are relative. One unit of the aggregate is for each score its scale;
    where none is given, the standard deviation over items of the base model's own scores.
    """

    weights: Annotated[dict[str, float], Field(min_length=1)]
    scales: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _weights_and_scales_are_amounts(self) -> AggregateSpec:
        for key, given in (("weight", self.weights), ("scale", self.scales)):
            wrong = next((score for score, value in given.items() if not 0 < value < math.inf), None)
            if wrong is not None:
                raise ValueError(
                    f"the {key} of {wrong} is {given[wrong]:g}; give a finite number above 0 (which "
                    "direction is better is known from the benchmark)"
                )
        for score in self.scales:
            if score not in self.weights:
                raise ValueError(f"{score} has a scale and no weight; give it a weight, or no scale")
        return self
