"""What the data looks like: numbers for the report and for `harness data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data.load import RawPairs, RawSplit
from harness.data.schemas import Pair
from harness.data.tokenise import Tokenised
from harness.records import DataStatistics, Quantiles, Record, SftStatistics, SplitStatistics

SHOWN_ROWS = 5


class TextSplitStatistics(Record):
    """One split without a tokenizer: lengths of prompt, chosen and rejected, words being what blanks part."""

    pairs_available: int
    pairs_read: int
    diverging_rows: int
    first_diverging: list[str]
    distinct_prompts: int
    duplicate_pairs: int
    empty_answers: int
    chosen_equals_rejected: int
    characters: dict[str, Quantiles | None]
    words: dict[str, Quantiles | None]


class TextStatistics(Record):
    """Both splits without a tokenizer, and what they share."""

    source: str
    test_origin: str
    train: TextSplitStatistics
    test: TextSplitStatistics
    test_pairs_whose_prompt_is_in_train: int
    test_pairs_dropped_for_a_prompt_in_train: int


def describe(
    raw: RawPairs, tokens: Mapping[str, Tokenised], sft_data: dict[str, SftStatistics]
) -> DataStatistics:
    """Counts, lengths in tokens, duplicates and overlap; `tokens` maps each split to its tokenised pairs."""
    parts = {name: _split(split, tokens[name]) for name, split in raw.splits().items()}
    validation = raw.validation
    return DataStatistics(
        test_origin=raw.origin,
        train=parts["train"],
        test=parts["test"],
        test_pairs_whose_prompt_is_in_train=_known(raw),
        test_pairs_dropped_for_a_prompt_in_train=raw.test_overlap,
        validation=parts.get("validation"),
        validation_origin=validation.origin if validation else None,
        validation_pairs_dropped_for_a_known_prompt=validation.overlap if validation else None,
        sft_data=sft_data,
    )


def describe_text(raw: RawPairs, source: str) -> TextStatistics:
    """What can be said of the pairs before any model is chosen."""
    parts = {name: _text_split(split) for name, split in raw.splits().items()}
    return TextStatistics(
        source=source,
        test_origin=raw.origin,
        train=parts["train"],
        test=parts["test"],
        test_pairs_whose_prompt_is_in_train=_known(raw),
        test_pairs_dropped_for_a_prompt_in_train=raw.test_overlap,
    )


def _known(raw: RawPairs) -> int:
    train_prompts = {p.group for p in raw.train}
    return sum(p.group in train_prompts for p in raw.test)


def _counts(split: RawSplit) -> dict[str, Any]:
    """What both kinds of statistics count."""
    pairs = split.pairs
    return {
        "pairs_available": split.available,
        "pairs_read": len(pairs),
        "diverging_rows": len(split.diverging),
        "first_diverging": split.diverging[:SHOWN_ROWS],
        "distinct_prompts": len({p.group for p in pairs}),
        "duplicate_pairs": len(pairs) - len({(p.group, p.chosen, p.rejected) for p in pairs}),
        "empty_answers": sum(not p.chosen.strip() or not p.rejected.strip() for p in pairs),
        "chosen_equals_rejected": sum(p.chosen == p.rejected for p in pairs),
    }


def _split(split: RawSplit, tokens: Tokenised) -> SplitStatistics:
    kept = tokens.kept
    chosen = np.array([len(p.chosen_ids) for p in kept])
    rejected = np.array([len(p.rejected_ids) for p in kept])
    return SplitStatistics(
        **_counts(split),
        pairs_kept=len(kept),
        dropped=dict(tokens.dropped),
        truncated=sum(p.truncated for p in kept),
        repaired_text=tokens.repaired,
        unknown_token_share=tokens.unknown_tokens / tokens.tokens if tokens.tokens else None,
        prompt_tokens=_quantiles(np.array([len(p.prompt_ids) for p in kept])),
        chosen_tokens=_quantiles(chosen),
        rejected_tokens=_quantiles(rejected),
        chosen_minus_rejected_tokens=_quantiles(chosen - rejected),
        chosen_longer_share=float(np.mean(chosen > rejected)) if kept else None,
    )


def _text_split(split: RawSplit) -> TextSplitStatistics:
    texts = {
        "prompt": [_text(pair) for pair in split.pairs],
        "chosen": [pair.chosen for pair in split.pairs],
        "rejected": [pair.rejected for pair in split.pairs],
    }
    return TextSplitStatistics(
        **_counts(split),
        characters={side: _quantiles(np.array([len(t) for t in own])) for side, own in texts.items()},
        words={side: _quantiles(np.array([len(t.split()) for t in own])) for side, own in texts.items()},
    )


def _text(pair: Pair) -> str:
    return "\n".join(message["content"] for message in pair.prompt)


def _quantiles(values: np.ndarray[Any, Any]) -> Quantiles | None:
    if not len(values):
        return None
    low, middle, high, top = np.quantile(values, [0.05, 0.5, 0.95, 1.0])
    return Quantiles(
        min=float(values.min()),
        p5=float(low),
        median=float(middle),
        p95=float(high),
        max=float(top),
        mean=float(values.mean()),
    )
