"""What the prepare stage finds out of model and data, for every later stage and the report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.base import Record


class Quantiles(Record):
    """Lengths in tokens over kept pairs; `min` is absent in records of version 1 that lacked it."""

    min: float | None = None
    p5: float
    median: float
    p95: float
    max: float
    mean: float


class SplitStatistics(Record):
    """One split. `pairs_available` is before the limit, `pairs_read` after it; lengths are of the
    kept pairs after truncation. `diverging_rows` counts rows that share no prompt and were left out when
    the data were read; `first_diverging` says where the first few stand. What cannot be computed without
    pairs, or was not recorded by an earlier version, is None."""

    pairs_available: int | None = None
    pairs_read: int
    pairs_kept: int
    dropped: dict[str, int] = Field(default_factory=dict)
    diverging_rows: int | None = None
    first_diverging: list[str] = Field(default_factory=list)
    truncated: int
    distinct_prompts: int
    duplicate_pairs: int
    empty_answers: int
    chosen_equals_rejected: int | None = None
    repaired_text: int | None = None
    unknown_token_share: float | None = None
    prompt_tokens: Quantiles | None = None
    chosen_tokens: Quantiles | None = None
    rejected_tokens: Quantiles | None = None
    chosen_minus_rejected_tokens: Quantiles | None = None
    chosen_longer_share: float | None = None


class SftStatistics(Record):
    """An arm's own SFT data: how much there is, and what the test split knows of it."""

    source: str
    available: int
    kept: int
    dropped: dict[str, int] = Field(default_factory=dict)
    truncated: int
    test_pairs_whose_prompt_is_in_it: int


class DataStatistics(Record):
    """All splits, and what they share. There is a validation split where some stage stops early."""

    test_origin: str
    train: SplitStatistics
    test: SplitStatistics
    test_pairs_whose_prompt_is_in_train: int
    test_pairs_dropped_for_a_prompt_in_train: int | None = None
    validation: SplitStatistics | None = None
    validation_origin: str | None = None
    validation_pairs_dropped_for_a_known_prompt: int | None = None
    sft_data: dict[str, SftStatistics] = Field(default_factory=dict)


class PrepareFacts(Record):
    """Model, tokenizer and data as every arm meets them.

    Fields that are None by default were not recorded by version 1 of some records. `validation_pairs`
    is None where no stage stops early, `template_date` where the chat template writes no date.
    """

    kind: Literal["prepare"] = "prepare"
    source: str
    random_weights: bool
    train_pairs: int
    test_pairs: int
    validation_pairs: int | None = None
    train_ids_digest: str
    statistics: DataStatistics
    sft_data: dict[str, str] = Field(default_factory=dict)
    max_length: int | None = None
    model_path: str | None = None
    model_revision: str | None = None
    model_digest: str | None = None
    trust_remote_code: bool = False
    tokenizer_digest: str | None = None
    chat_template_digest: str | None = None
    chat_template_source: str | None = None
    template_date: str | None = None
    pad_token_id: int | None = None
    eos_token_id: int | None = None
    stop_token_ids: list[int] = Field(default_factory=list)
    train_tokens_digest: str | None = None
    every_response_ends_with_a_stop_token: bool | None = None
    doubled_bos: bool | None = None


class ReplayFacts(Record):
    """Published results that were read; nothing was prepared or trained."""

    kind: Literal["replay"] = "replay"
    source: str
    random_weights: Literal[False] = False
