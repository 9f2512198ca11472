"""What the check and evaluate stages, the latter's rehearsal, and the judge find out besides their scores."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.records.base import Record, Score
from harness.records.device import DevicePeak


class CheckFacts(Record):
    """Room on the disk, and how many of each benchmark's prompts stand in the training pairs.

    `peaks` are the device's peak rates by the dtype that is computed in: one for all arms.
    """

    kind: Literal["check"] = "check"
    free_disk_bytes: int | None = None
    benchmark_prompts_in_train: dict[str, int] | None = None
    peaks: dict[str, DevicePeak] = Field(default_factory=dict)


class AnsweringTrial(Record):
    """One batch of the longest prompts, answered for a few tokens: when its cache was small, and when it held
    `cache_tokens` a sequence.

    A cell asks for `answers` of at most `new_tokens`, in batches of `batch`; prompts have up to
    `prompt_tokens`. `prefill_seconds` are those of a batch, `seconds_per_token` those of one token of one
    answer in it.
    """

    answers: int
    batch: int
    prompt_tokens: int
    new_tokens: int
    cache_tokens: int
    prefill_seconds: float
    seconds_per_token: float

    @property
    def most_seconds(self) -> float:
        """All answers of a cell, if each were as long as it may be."""
        one_batch = self.prefill_seconds + self.new_tokens * self.batch * self.seconds_per_token
        return -(-self.answers // self.batch) * one_batch


class PairScoringTrial(Record):
    """One batch of the longest held-out pairs, of up to `tokens` a sequence; a cell scores `pairs`."""

    pairs: int
    batch: int
    tokens: int
    seconds_per_pair: float

    @property
    def most_seconds(self) -> float:
        """All pairs of a cell, if each were as long as the longest."""
        return self.pairs * self.seconds_per_pair


class EngineTrial(Record):
    """An engine's greedy answers beside those of padded batches: the base model's, to a sample of prompts.

    `used` is what every cell answers by, `tried` or padded; `reason` says why it is the latter, or what was
    noticed of one that was asked for by name. `same` of `prompts` answers, of at most `new_tokens`, were
    equal token for token. The others part at place `first_difference` at the earliest (0 is an answer's
    first token), and `largest_gap` is by how many nats a token taken where they part falls short of the
    likeliest; `tolerance` is what that may be. The sample took `seconds`, and `padded_seconds` in padded
    batches. Figures of an engine that could not answer are None.
    """

    tried: str
    used: str
    prompts: int
    new_tokens: int
    tolerance: float
    same: int | None = None
    first_difference: int | None = None
    largest_gap: float | None = None
    seconds: float | None = None
    padded_seconds: float | None = None
    reason: str | None = None


class RehearseEvaluateFacts(Record):
    """What scoring a cell will need, tried on the base model.

    `engine` is None where answers are made in padded batches without a trial. `answering`, which is padded
    whatever the engine, and `pair_scoring` are None where no benchmark asks for that. `not_foretold` are
    benchmarks that use the model in ways of their own. Where memory ran out, `remedy` names the setting.
    `seconds` is what the rehearsal took, without its start-up.
    """

    kind: Literal["rehearse_evaluate"] = "rehearse_evaluate"
    load_seconds: float | None = None
    engine: EngineTrial | None = None
    answering: AnsweringTrial | None = None
    pair_scoring: PairScoringTrial | None = None
    not_foretold: list[str] = Field(default_factory=list)
    peak_memory_bytes: int | None = None
    host_growth_bytes: int | None = None
    out_of_memory: bool = False
    remedy: str | None = None
    seconds: float | None = None

    @property
    def most_seconds(self) -> float:
        """What scoring one cell takes at most, but for `not_foretold`."""
        trials = (self.answering, self.pair_scoring)
        return (self.load_seconds or 0.0) + sum(trial.most_seconds for trial in trials if trial is not None)


class EvaluateFacts(Record):
    """How a cell answered. `generation` are the settings of its answers."""

    kind: Literal["evaluate"] = "evaluate"
    generation: dict[str, Any] | None = None
    answers: int | None = None
    unfinished_answers: int | None = None


class JudgeFacts(Record):
    """Scores of cells that were compared, by cell key: `arm@seed` or `base`."""

    kind: Literal["judge"] = "judge"
    cells: dict[str, list[Score]] = Field(default_factory=dict)
