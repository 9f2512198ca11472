"""One voter's sitting: which pair comes next, on which side each answer stands, and what was voted."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from harness.arena.duels import Duel
from harness.votes import Message, Vote, VoteFile

Choice = Literal["left", "right", "tie", "skip"]
AGAIN_EVERY = 10
"""After so many pairs one of them is shown again with its sides swapped."""
LEFT: dict[Choice, float | None] = {"left": 1.0, "right": 0.0, "tie": 0.5, "skip": None}


@dataclass(frozen=True)
class Who:
    """Whose votes on what: `model_a` and `model_b` are the trained models that answered."""

    voter: str
    a: str
    b: str
    seed: int
    model_a: str
    model_b: str


@dataclass(frozen=True)
class Shown:
    """What the page may know: no arm stands in it, and `key` is drawn anew whenever a pair is shown."""

    key: str
    done: int
    total: int
    can_undo: bool
    messages: list[Message] | None
    left: str | None
    right: str | None


@dataclass(frozen=True)
class _Item:
    duel: Duel
    a_first: bool
    again: bool


class Stale(Exception):
    """The vote is about a pair that is not shown any more."""


class Session:
    """Votes in the order that `order_seed` draws. Safe to use from several threads."""

    def __init__(
        self,
        duels: Sequence[Duel],
        who: Who,
        file: VoteFile,
        earlier: Sequence[Vote],
        order_seed: int | None = None,
    ) -> None:
        """`earlier` votes of this voter are not asked for again, but for those that were skipped."""
        self.order_seed = secrets.randbits(32) if order_seed is None else order_seed
        self._who, self._file, self._lock = who, file, threading.Lock()
        voted = {_seen(v) for v in earlier if v.voter == who.voter and v.preference is not None}
        self._items = _drawn(
            [d for d in duels if (d.prompt_id, d.answer_a, d.answer_b) not in voted], self.order_seed
        )
        self._place, self._given = 0, list[tuple[int, Vote]]()
        self._since: float | None = None
        self._show()

    @property
    def votes(self) -> list[Vote]:
        """What was voted in this sitting and stands."""
        return [vote for _, vote in self._given]

    @property
    def planned(self) -> tuple[int, int]:
        """How many pairs this sitting has, and how many of them it shows a second time."""
        again = sum(item.again for item in self._items)
        return len(self._items) - again, again

    def shown(self) -> Shown:
        """The pair of now, or what there is to say where none is left."""
        with self._lock:
            return self._shown()

    def vote(self, key: str, choice: Choice) -> Shown:
        """Write down a choice and go on; raises Stale for an old pair, OSError where the disk refuses."""
        with self._lock:
            if key != self._key or self._place >= len(self._items):
                raise Stale
            vote = self._vote(self._items[self._place], choice)
            self._file.append(vote)
            self._given.append((self._place, vote))
            self._place += 1
            self._pass_by()
            self._show()
            return self._shown()

    def undo(self) -> Shown:
        """Take the last choice of this sitting back, and show its pair again."""
        with self._lock:
            if self._given:
                place, vote = self._given[-1]
                self._file.append(replace(vote, undone=True))
                self._given.pop()
                self._place = place
                self._show()
            return self._shown()

    def _vote(self, item: _Item, choice: Choice) -> Vote:
        left, who, duel, now = LEFT[choice], self._who, item.duel, time.monotonic()
        return Vote(
            id=secrets.token_hex(8),
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            voter=who.voter,
            prompt_id=duel.prompt_id,
            split=duel.split,
            a=who.a,
            b=who.b,
            seed=who.seed,
            order_seed=self.order_seed,
            a_first=item.a_first,
            again=item.again,
            preference=left if left is None or item.a_first else 1 - left,
            milliseconds=round(1000 * (now - (self._since or now))),
            messages=duel.messages,
            answer_a=duel.answer_a,
            answer_b=duel.answer_b,
            model_a=who.model_a,
            model_b=who.model_b,
        )

    def _pass_by(self) -> None:
        """A pair that was skipped says nothing when it comes again."""
        decided = {id(self._items[place].duel) for place, vote in self._given if vote.preference is not None}
        while self._place < len(self._items):
            item = self._items[self._place]
            if not item.again or id(item.duel) in decided:
                break
            self._place += 1

    def _show(self) -> None:
        self._key, self._since = secrets.token_hex(8), None

    def _shown(self) -> Shown:
        # From here on a voter reads, and not from when the command was started.
        self._since = time.monotonic() if self._since is None else self._since
        total, undo = len(self._items), bool(self._given)
        if self._place >= total:
            return Shown(self._key, self._place, total, undo, None, None, None)
        item = self._items[self._place]
        answers = (item.duel.answer_a, item.duel.answer_b)
        left, right = answers if item.a_first else answers[::-1]
        return Shown(self._key, self._place, total, undo, item.duel.messages, left, right)


def _seen(vote: Vote) -> tuple[str, str, str]:
    """The pair of a vote, whichever way round the arms were named."""
    return vote.prompt_id, vote.answer_a, vote.answer_b


def _drawn(duels: Sequence[Duel], seed: int) -> list[_Item]:
    """All duels in random order with random sides, a tenth of them once more with sides swapped."""
    draw, items = random.Random(seed), list[_Item]()
    order = draw.sample(list(duels), len(duels))
    block: list[_Item] = []
    for duel in order:
        block.append(_Item(duel, draw.random() < 0.5, False))
        items.append(block[-1])
        if len(block) == AGAIN_EVERY:
            # Not one of the last few, which a voter still has in mind.
            again = draw.choice(block[: AGAIN_EVERY // 2])
            items.append(_Item(again.duel, not again.a_first, True))
            block = []
    return items
