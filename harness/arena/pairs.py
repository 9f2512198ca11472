"""`pairs.jsonl`: what people preferred, as preference data that `harness data` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.jsonl import write_jsonl
from harness.votes import Vote, firsts

FILE = "pairs.jsonl"


def write_pairs(votes: Sequence[Vote], run: str, path: Path) -> int:
    """Write a row for each pair of answers that most voters preferred one of; returns how many.

    A file that never held a row is not begun for none."""
    rows = pairs_of(votes, run)
    if rows or path.exists():
        write_jsonl(path, rows)
    return len(rows)


def pairs_of(votes: Sequence[Vote], run: str) -> list[dict[str, Any]]:
    """A row a pair of answers of which one has more than half of its votes; ties are votes for neither."""
    by_pair: dict[str, list[Vote]] = {}
    for vote in firsts(votes):
        key = json.dumps([vote.messages, vote.a, vote.b, vote.seed, vote.answer_a, vote.answer_b])
        by_pair.setdefault(key, []).append(vote)
    rows = []
    for given in by_pair.values():
        for side, preference in (("a", 1.0), ("b", 0.0)):
            if 2 * sum(vote.preference == preference for vote in given) > len(given):
                rows.append(_row(given, side, run))
    return rows


def _row(given: Sequence[Vote], chosen: str, run: str) -> dict[str, Any]:
    first, a_won = given[0], chosen == "a"
    alone = len(first.messages) == 1 and first.messages[0]["role"] == "user"
    return {
        "prompt": first.messages[0]["content"] if alone else first.messages,
        "chosen": first.answer_a if a_won else first.answer_b,
        "rejected": first.answer_b if a_won else first.answer_a,
        "source": "arena",
        "run": run,
        "arm_chosen": first.a if a_won else first.b,
        "arm_rejected": first.b if a_won else first.a,
        "seed": first.seed,
        "votes": len(given),
        "voters": sorted({vote.voter for vote in given}),
        # A test prompt in any of its votes is one, whichever file it came from.
        "split": "test" if any(vote.split == "test" for vote in given) else "new",
    }
