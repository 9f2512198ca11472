"""Pairs of answers before voters whose choices are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arena.duels import Duel
from harness.arena.session import Session, Who
from harness.votes import VoteFile, read_votes

ANN = Who("ann", "orpo", "sft_dpo", 0, "o1 w1", "s1 w2")
Make = Callable[..., Session]


def duels(count: int, split: str = "new") -> list[Duel]:
    return [
        Duel(f"p{n}", split, [{"role": "user", "content": f"question {n}"}], f"good {n}", f"poor {n}")  # type: ignore[arg-type]
        for n in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arena" / "votes.jsonl"


@pytest.fixture
def sitting(path: Path) -> Make:
    """Makes a voter's sitting on the run's file, as the command does."""

    def make(
        count: int = 12, who: Who = ANN, order_seed: int = 1, asked: list[Duel] | None = None
    ) -> Session:
        found = duels(count) if asked is None else asked
        return Session(found, who, VoteFile(path), read_votes(path), order_seed)

    return make
