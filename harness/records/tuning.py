"""What tuning tried, what each trial cost, and which trial of each arm was chosen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.records.base import Record

Setting = bool | int | float | str
Sampler = Literal["random", "tpe"]
Pruner = Literal["none", "median", "hyperband"]
TuningAxis = Literal["trials", "flops", "device_seconds"]


class EndRule(Record):
    """Ends a training stage at the first probe whose `metric` is below the least value there.

    `least` are (share of the stage's steps, value), of probes before its end; `by` is the pruner.
    """

    by: Pruner
    metric: str
    least: list[tuple[float, float]]


class EndedEarly(Record):
    """A training stage that a pruner ended after `step` of `steps`, its probe being below `least`."""

    by: Pruner
    step: int
    steps: int
    value: float
    least: float


class TuningTrial(Record):
    """One draw of an arm's settings: trained once, scored on the development split. `number` is from 1.

    `settings` are by stage name and key, only those that were drawn. `score` is None exactly when `reason`
    says why. A trial that was ended early has `pruned_at`, the share of its last stage's steps that it did,
    and the score that it had there. `stages` are digests of its training stages and `evaluate` of what scored
    it. `seconds` and `flops` are those of its training in full, whoever trained a shared stage first; None
    where they are not known.
    """

    arm: str
    number: int
    settings: dict[str, dict[str, Setting]]
    score: float | None
    reason: str | None = None
    pruned_at: float | None = None
    stages: list[str] = Field(default_factory=list)
    evaluate: str | None = None
    seconds: float | None = None
    flops: float | None = None

    @model_validator(mode="after")
    def _absent_needs_a_reason(self) -> TuningTrial:
        if (self.score is None) != (self.reason is not None):
            raise ValueError(f"trial {self.number} of {self.arm}: a score or a reason for its absence")
        return self


class TuningRecord(Record):
    """The search of a comparison. `metric` is `benchmark.metric` on the development split.

    Every arm had `amount` on `axis`; `space` is the search space as written, by stage name and key, with its
    sources. `chosen` is the number of each arm's best trial, which the comparison then trained on fresh
    seeds.
    """

    metric: str
    higher_is_better: bool
    sampler: Sampler
    pruner: Pruner
    axis: TuningAxis
    amount: float
    seed: int
    space: dict[str, dict[str, dict[str, Setting | list[Setting]]]]
    trials: list[TuningTrial]
    chosen: dict[str, int]
