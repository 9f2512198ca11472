"""Where the pairs come from, and what is kept of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from harness.pipeline.spec_model import Share, Source, SpecModel

TEMPLATES = ("auto", "tokenizer", "default")
"""Chat templates that are not files."""


class DataSpec(SpecModel):
    """Where the pairs come from. `source`: `embedded`, a hub name, a folder or a file.

    A source without a test split gives `test_fraction` of its pairs, chosen by prompt hash. Test
    pairs whose prompt stands in training are dropped and counted, unless `test_overlap` is keep.
    Where some stage stops early, `validation_fraction` of the training pairs are held out of every arm's
    training for it, or the source's split `validation_split` is read. A chat template that writes
    today's date writes `template_date`, which is the one that Llama 3.1's falls back to. `label_noise`
    exchanges chosen and rejected in a share of the training pairs, to study what wrong labels do.
    """

    source: Source = "embedded"
    config: str | None = None
    revision: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    validation_split: str | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.05
    limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None
    label_noise: Share = 0.0
    max_length: PositiveInt = 1024
    chat_template: str = "auto"
    template_date: date = date(2024, 7, 26)
    unknown_token_limit: Share = 0.05
    test_overlap: Literal["drop", "keep"] = "drop"
