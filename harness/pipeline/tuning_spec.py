"""`tuning:` of a comparison file: what is searched, how, and how much every arm may spend on it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from harness.pipeline.spec_model import Positive, Seed, SpecModel
from harness.records.tuning import Pruner, Sampler, Setting, TuningAxis

PROBED = "preference.accuracy"
"""What probes measure during training; a pruner sees nothing else."""


class TuningBudget(SpecModel):
    """What every arm gets the same of: trials, counted FLOPs, or seconds of the device in training."""

    axis: TuningAxis = "trials"
    amount: Positive = 16

    @model_validator(mode="after")
    def _trials_are_whole(self) -> TuningBudget:
        if self.axis == "trials" and self.amount != int(self.amount):
            raise ValueError(f"amount is {self.amount:g} trials; give a whole number")
        return self


class SettingSpace(SpecModel):
    """Where one setting is searched: from `low` to `high`, on a logarithmic scale with `log`, or `choices`.

    Where both ends are whole numbers, whole numbers are drawn. `source` is the reason or the reference.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: Annotated[list[Setting], Field(min_length=1)] | None = None
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> SettingSpace:
        ends = [end for end in (self.low, self.high) if end is not None]
        if (self.choices is None) == (not ends) or len(ends) == 1 or (self.choices and self.log):
            raise ValueError(
                "a setting is searched over a range or over choices; give low and high, or choices"
            )
        if ends and ends[0] >= ends[1]:
            raise ValueError(f"low is {ends[0]} and high is {ends[1]}; give a high above low")
        if self.log and ends[0] <= 0:
            raise ValueError(f"low is {ends[0]} on a logarithmic scale; give a low above 0")
        return self

    def ends(self) -> list[Setting]:
        """The settings that have to be legal for all to be: both ends of a range, or every choice."""
        return list(self.choices) if self.choices is not None else list(self.range())

    def range(self) -> tuple[int | float, int | float]:
        """Low and high of a space that is no list of choices."""
        if self.low is None or self.high is None:
            raise ValueError("choices have no range")
        return self.low, self.high


Space = dict[str, dict[str, SettingSpace]]
"""By stage name and key."""


class TuningSpec(SpecModel):
    """A search of every arm's settings before the comparison, by a score on pairs that nothing else scores.

    `seed` trains and draws all trials and is none of the comparison's. `metric` is `benchmark.metric`. A
    `pruner` ends the last stage of a trial early: below the median of earlier trials, or by the rungs of
    hyperband.
    """

    budget: TuningBudget = Field(default_factory=TuningBudget)
    sampler: Sampler = "random"
    pruner: Pruner = "none"
    seed: Seed = 1_000
    metric: str = PROBED
    space: Annotated[Space, Field(min_length=1)]

    @model_validator(mode="after")
    def _pruners_see_probes(self) -> TuningSpec:
        if self.pruner != "none" and self.metric != PROBED:
            raise ValueError(
                f"pruner {self.pruner} reads probes, which measure {PROBED} and not {self.metric}; "
                "give pruner: none"
            )
        return self

    @property
    def benchmark(self) -> str:
        """The benchmark of `metric`."""
        return self.metric.partition(".")[0]

    def in_words(self) -> str:
        """How every arm is tuned."""
        budget = self.budget
        return (
            f"{budget.amount:g} {budget.axis.replace('_', ' ')} an arm, {self.sampler} sampler, pruner "
            f"{self.pruner}, by {self.metric} on development pairs, at seed {self.seed}"
        )

    def space_as_written(self) -> dict[str, dict[str, dict[str, Setting | list[Setting]]]]:
        """The space with its sources, without what is not set."""
        return {
            stage: {
                key: one.model_dump(exclude_none=True, exclude_defaults=True) for key, one in keys.items()
            }
            for stage, keys in self.space.items()
        }
