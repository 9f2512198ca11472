"""The first pairs of a data set that fit a length whole under a model's chat template.

Every trainer cuts longer ones in a way of its own, and two that cut differently train on different tokens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOM = 8
"""Tokens to spare: some trainers add a token for the beginning or the end of a text."""
TEST_PAIRS = 8


def write_fitting(model: Path, data: Path, to: Path, *, pairs: int, max_length: int) -> None:
    """`train.jsonl` and `test.jsonl` of `data`, cut down; ends the program where there are too few."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    to.mkdir(parents=True)
    for split, wanted in (("train", pairs), ("test", TEST_PAIRS)):
        kept: list[dict[str, Any]] = []
        for row in _rows(data / f"{split}.jsonl"):
            if len(kept) < wanted and longest(tokenizer, row) + ROOM <= max_length:
                kept.append(row)
        if len(kept) < wanted:
            sys.exit(f"{data / split}.jsonl: {len(kept)} pairs fit {max_length} tokens, not {wanted}")
        (to / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as source:
        yield from map(json.loads, source)


def longest(tokenizer: Any, row: dict[str, Any]) -> int:
    """Tokens of the longer of a pair's two conversations; prompts and answers are texts."""
    talks = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}]
        for side in ("chosen", "rejected")
    ]
    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks]
    return max(len(tokenizer(text)["input_ids"]) for text in texts)
