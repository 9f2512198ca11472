"""Pairs that fit a length whole are taken, the first ones; too few end the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.base_model import EMBEDDED
from harness.jsonl import read_jsonl, write_jsonl
from perf.fitting import ROOM, TEST_PAIRS, write_fitting


def pair(words: int) -> dict[str, str]:
    """At most `words` + 5 tokens: the template adds four to prompt and answer, and the prompt is a word."""
    return {"prompt": "red", "chosen": " ".join(["red"] * words), "rejected": "blue"}


def test_the_first_that_fit_are_taken(tmp_path: Path) -> None:
    lengths = (10, 21, 20, 11, 12)
    write_jsonl(tmp_path / "train.jsonl", map(pair, lengths))
    write_jsonl(tmp_path / "test.jsonl", [pair(5)] * TEST_PAIRS)
    write_fitting(EMBEDDED, tmp_path, tmp_path / "out", pairs=3, max_length=20 + 5 + ROOM)
    kept = [len(row["chosen"].split()) for row in read_jsonl(tmp_path / "out" / "train.jsonl")]
    assert kept == [10, 20, 11]


def test_too_few_end_the_program(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", map(pair, (10, 40)))
    with pytest.raises(SystemExit, match=r"train\.jsonl: 1 pairs fit 33 tokens, not 2"):
        write_fitting(EMBEDDED, tmp_path, tmp_path / "out", pairs=2, max_length=33)
