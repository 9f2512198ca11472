"""What a server took under load: `load.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.records.base import Environment, Record


class LoadFigure(Record):
    """One figure over `n` requests. `value` is None exactly when `reason` says why it is absent."""

    name: Literal["first_token_p50", "first_token_p95", "request_p50", "request_p95", "tokens_per_second"]
    value: float | None
    unit: Literal["s", "token/s"]
    n: int
    reason: str | None = None

    @model_validator(mode="after")
    def _absent_needs_a_reason(self) -> LoadFigure:
        if (self.value is None) != (self.reason is not None):
            raise ValueError(f"{self.name}: a value or a reason for its absence, not both or none")
        return self


class LoadLevel(Record):
    """So many clients at once, each of which asks again when it was answered.

    `requests` were asked after `warm_up` others that are part of no figure; `errors` counts those that failed
    by what they failed with. All of them took `seconds`, the answered ones made `tokens` tokens, the one that
    ends an answer included; None where the server did not say how many. `unfinished` answers were cut at the
    longest that they may be. `distinct_prompts` of the requests were asked for the first time.
    """

    clients: int
    requests: int
    warm_up: int
    errors: dict[str, int] = Field(default_factory=dict)
    seconds: float
    tokens: int | None
    unfinished: int
    distinct_prompts: int
    figures: list[LoadFigure]

    def figure(self, name: str) -> LoadFigure:
        """The figure called `name`."""
        return next(one for one in self.figures if one.name == name)


class ServedModel(Record):
    """What was served: an arm of a run at a seed, with the stage that made its weights, or a folder alone.

    `weights` is the fingerprint that the stage recorded, None of a folder that no run made.
    """

    name: str
    folder: str
    run: str | None = None
    arm: str | None = None
    seed: int | None = None
    stage: str | None = None
    weights: str | None = None


class LoadRecord(Record):
    """Load figures of one server on one machine.

    `threads` is what was asked for by `OMP_NUM_THREADS`, None where the server chose for itself;
    `busy_before` is the machine's load average of the last minute before the server was started: processes
    that wanted a core, on `environment.cpu_count` of them. Answers were greedy, of at most `max_tokens`
    tokens. `prompts_of` says whose prompts they were.
    """

    schema_version: Literal[1] = 1
    created_at: str
    model: ServedModel
    engine: str
    engine_version: str
    settings: list[str]
    dtype: str
    environment: Environment
    threads: int | None
    busy_before: float
    prompts_of: str
    prompts: int
    max_tokens: int
    levels: list[LoadLevel]
