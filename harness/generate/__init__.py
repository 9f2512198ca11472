"""Answers and log-probs of a model, made once for all benchmarks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Prompt:
    """One thing to answer. `reference` is a known answer, `meta` goes through to the answer."""

    id: str
    benchmark: str
    messages: list[dict[str, str]]
    reference: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """One answer. `prompt` is the last user message; `finish` says why generation ended.

    `tokens` counts the generated tokens with the one that stopped them; `text` is without it.
    """

    id: str
    benchmark: str
    prompt: str
    text: str
    tokens: int
    finish: Literal["stop", "length"]
    reference: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with the tokenizer that its data was prepared with."""

    model: Any
    tokenizer: Any
    stop_token_ids: list[int]
    device: str
    path: str
    tokenizer_path: Path
