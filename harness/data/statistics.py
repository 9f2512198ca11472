"""What the data looks like: numbers for the report and for `harness data`."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.data.load import RawPairs
from harness.data.schemas import Pair
from harness.data.tokenise import Tokenised
from harness.records import DataStatistics, Quantiles, SftStatistics, SplitStatistics


def describe(
    raw: RawPairs, train: Tokenised, test: Tokenised, sft_data: dict[str, SftStatistics]
) -> DataStatistics:
    """Counts, lengths in tokens, duplicates and overlap.

    `pairs_available` is before `data.limit`, `pairs_read` after it; lengths are of the kept
    pairs after truncation. What cannot be computed without pairs is None.
    """
    train_prompts = {p.group for p in raw.train}
    overlap = sum(p.group in train_prompts for p in raw.test)
    return DataStatistics(
        test_origin=raw.origin,
        train=_split(raw.train, train, raw.train_available),
        test=_split(raw.test, test, raw.test_available),
        test_pairs_whose_prompt_is_in_train=overlap,
        test_pairs_dropped_for_a_prompt_in_train=raw.test_overlap,
        sft_data=sft_data,
    )


def _split(raw: list[Pair], tokens: Tokenised, available: int) -> SplitStatistics:
    kept = tokens.kept
    chosen = np.array([len(p.chosen_ids) for p in kept])
    rejected = np.array([len(p.rejected_ids) for p in kept])
    return SplitStatistics(
        pairs_available=available,
        pairs_read=len(raw),
        pairs_kept=len(kept),
        dropped=dict(tokens.dropped),
        truncated=sum(p.truncated for p in kept),
        distinct_prompts=len({p.group for p in raw}),
        duplicate_pairs=len(raw) - len({(p.group, p.chosen, p.rejected) for p in raw}),
        empty_answers=sum(not p.chosen.strip() or not p.rejected.strip() for p in raw),
        chosen_equals_rejected=sum(p.chosen == p.rejected for p in raw),
        repaired_text=tokens.repaired,
        unknown_token_share=tokens.unknown_tokens / tokens.tokens if tokens.tokens else None,
        prompt_tokens=_quantiles(np.array([len(p.prompt_ids) for p in kept])),
        chosen_tokens=_quantiles(chosen),
        rejected_tokens=_quantiles(rejected),
        chosen_minus_rejected_tokens=_quantiles(chosen - rejected),
        chosen_longer_share=float(np.mean(chosen > rejected)) if kept else None,
    )


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
