"""Answers and log-probs of a model, made once for all benchmarks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.pipeline.generation_spec import Engine
from harness.pipeline.model_form import ModelForm


@dataclass(frozen=True)
class Prompt:
    """One thing to answer. `reference` is a known answer, `meta` goes through to the answer.

    `follow_ups` are the later questions of the conversation, each with the id of its answer.
    """

    id: str
    benchmark: str
    messages: list[dict[str, str]]
    reference: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    follow_ups: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """One answer. `prompt` is the last user message; `finish` says why generation ended.

    `tokens` counts the generated tokens with the one that stopped them; `text` is without it.
    `asked` is the digest of all messages, by which an answer is found again.
    """

    id: str
    benchmark: str
    prompt: str
    text: str
    tokens: int
    finish: Literal["stop", "length"]
    reference: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    asked: str | None = None

    def as_row(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with the tokenizer that its data was prepared with.

    `model` is None where only an engine that loads weights of its own is to answer. `engine` is what answers
    that a benchmark asks for by itself are made by.
    """

    model: Any
    tokenizer: Any
    stop_token_ids: list[int]
    device: str
    path: str
    tokenizer_path: Path
    form: ModelForm = field(default_factory=ModelForm)
    revision: str | None = None
    own_code: bool = False
    engine: Engine = "padded"
