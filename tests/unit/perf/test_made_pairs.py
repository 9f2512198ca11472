"""The sweeps' pairs have the lengths that were asked for, and their batches what a lever makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.base_model import EMBEDDED
from harness.jsonl import read_jsonl
from harness.measure.flops import Bucket
from harness.measure.model_shape import ModelShape
from perf.made_pairs import (
    MICRO_BATCH,
    Case,
    Pair,
    flat,
    padded,
    padding_cases,
    prompt_cases,
    write_pairs,
)
from perf.sharing import foretold

PAIRS = [Pair(10, 20, 30), Pair(10, 5, 6), Pair(10, 20, 30), Pair(10, 5, 6)]


def test_batches_without_and_with_a_lever() -> None:
    assert MICRO_BATCH == 4
    assert padded(PAIRS) == [Bucket(8, 40, 122)]
    assert flat(PAIRS, shared=False) == [Bucket(8, 40, 122, row=122 + 80 + 1)]
    assert flat(PAIRS, shared=True) == [Bucket(8, 40, 122, row=122 + 40 + 1)]


def test_what_is_foretold_of_matrices_alone_is_the_ratio_of_tokens() -> None:
    """By hand: a prompt of half the sequence saves a quarter of the positions, so 4/3."""
    nothing = {"first": 0, "lora": 0, "lora_first": 0, "last": 0, "scores": 0, "values": 0}
    blocks = ModelShape(body=1000, windows=(), hidden=0, vocabulary=0, **nothing)
    pairs = [Pair(50, 50, 50)] * 4
    case = Case(0.5, pairs, flat(pairs, shared=False), flat(pairs, shared=True))
    # Each row ends with a token of padding.
    assert foretold(blocks, case) == pytest.approx(801 / 601)


def test_sweeps_span_their_shares() -> None:
    prompts, padding = prompt_cases(8, 100), padding_cases(64, 256)
    assert [case.share for case in prompts] == pytest.approx([0.1 * n for n in range(1, 9)])
    assert all(case.pairs[0].sequences[0][0] == 100 for case in prompts)
    shares = [case.share for case in padding]
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[-1] > 0.5


def test_written_pairs_have_the_tokens_that_were_asked_for(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    write_pairs(PAIRS, tmp_path / "data")
    for pair, row in zip(PAIRS, read_jsonl(tmp_path / "data" / "train.jsonl"), strict=True):
        asked = [{"role": "user", "content": row["prompt"]}]
        for side, (length, _) in zip(("chosen", "rejected"), pair.sequences, strict=True):
            talk = [*asked, {"role": "assistant", "content": row[side]}]
            text = tokenizer.apply_chat_template(talk, tokenize=False)
            assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == length
