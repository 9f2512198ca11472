"""What the answers themselves show, without a judge: length, repetition, refusals, empty and cut-off ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from harness.benchmarks import CheckContext, scores_of_items, test_prompts
from harness.errors import UserError
from harness.generate import Answer, Prompt
from harness.pipeline.spec_model import SpecModel
from harness.records import Score

NGRAM = 4
REFUSALS = (
    r"\bI(?:'m| am) (?:very |so )?sorry\b.{0,40}\b(?:but|can(?:no|')t|unable)\b",
    r"\bI (?:can(?:no|')t|cannot|won't|am unable to|'m unable to|am not able to|'m not able to)\b",
    r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b",
    r"\b(?:it is|it's) (?:not appropriate|against my)\b",
)
_REFUSAL = re.compile("|".join(f"(?:{pattern})" for pattern in REFUSALS), flags=re.IGNORECASE)
OPENING = 200
LOWER_IS_BETTER = ("empty", "cut_off", "repetition")
NEUTRAL = ("answer_tokens", "answer_characters", "refusal")


class Config(SpecModel):
    """`limit` takes the first prompts of the test split."""

    limit: PositiveInt | None = None


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError without prompts."""
    if not test_prompts(context.prepared, "behaviour", 1):
        raise UserError("benchmark behaviour has no prompts", remedy="give a test split")


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """The prompts of the test split."""
    return test_prompts(prepared, "behaviour", config.limit)


def score_answers(config: Config, answers: list[Answer], prepared: Path, out: Path) -> list[Score]:
    """Counts and shares over answers; refusals are found by fixed phrases in the opening."""
    items = [
        {
            "id": answer.id,
            "metrics": measure(answer.text, answer.tokens, cut_off=answer.finish == "length"),
            "prompt": answer.prompt,
            "answer": answer.text,
            "finish": answer.finish,
        }
        for answer in answers
    ]
    settings = {"repetition": f"share of {NGRAM}-word runs that stood before", "refusals": "fixed phrases"}
    return scores_of_items(
        "behaviour", items, out, settings=settings, lower_is_better=LOWER_IS_BETTER, neutral=NEUTRAL
    )


def measure(text: str, tokens: int, *, cut_off: bool) -> dict[str, Any]:
    """The metrics of one answer; repetition is None for answers too short to repeat anything."""
    return {
        "answer_tokens": float(tokens),
        "answer_characters": float(len(text)),
        "empty": float(not text.strip()),
        "cut_off": float(cut_off),
        "repetition": repetition(text),
        "refusal": float(bool(_REFUSAL.search(text[:OPENING]))),
    }


def repetition(text: str) -> float | None:
    """1 - distinct / all runs of four words (Welleck et al. 2020, arXiv 1908.04319, seq-rep-4)."""
    words = text.split()
    runs = [tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else None
