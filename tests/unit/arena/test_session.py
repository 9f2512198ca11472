"""What a voter is shown, what is written down, and that no vote is lost or counted twice."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.arena.pairs import pairs_of, write_pairs
from harness.arena.session import Session, Stale, Who
from harness.errors import UserError
from harness.votes import VoteFile, firsts, preferences, read_votes


def take(session: Session, prefers: str) -> None:
    """Vote for the answer that begins with a word, on whichever side it stands."""
    shown = session.shown()
    assert shown.left is not None
    session.vote(shown.key, "left" if shown.left.startswith(prefers) else "right")


def test_votes_count_for_the_answer_and_not_for_the_side(sitting: Any, path: Path) -> None:
    session = sitting(40)
    pairs, again = session.planned
    assert (pairs, again) == (40, 4)
    for _ in range(pairs + again):
        take(session, "good")
    votes = read_votes(path)
    assert {vote.preference for vote in votes} == {1.0}
    assert len(firsts(votes)) == 40
    sides = Counter(vote.took_first for vote in votes)
    assert 10 < sides[1.0] < 34, "sides are drawn"
    shown = session.shown()
    assert (shown.done, shown.total, shown.messages, shown.left) == (44, 44, None, None)


def test_a_tenth_is_shown_again_with_sides_swapped(sitting: Any, path: Path) -> None:
    session = sitting(10)
    for _ in range(11):
        take(session, "good")
    votes = read_votes(path)
    (again,) = (vote for vote in votes if vote.again)
    (first,) = (vote for vote in votes if not vote.again and vote.prompt_id == again.prompt_id)
    assert again.a_first is not first.a_first


def test_the_same_seed_draws_the_same_order(sitting: Any) -> None:
    def order(seed: int) -> list[tuple[str, bool]]:
        return [(item.duel.prompt_id, item.a_first) for item in sitting(20, order_seed=seed)._items]

    assert order(1) == order(1) != order(2)


def test_nothing_that_is_shown_names_an_arm(sitting: Any) -> None:
    shown = json.dumps(dataclasses.asdict(sitting().shown()))
    assert "orpo" not in shown
    assert "sft" not in shown
    assert "p0" not in shown


def test_a_vote_on_a_pair_that_is_gone_is_refused(sitting: Any, path: Path) -> None:
    session = sitting()
    key = session.shown().key
    session.vote(key, "left")
    with pytest.raises(Stale):
        session.vote(key, "right")
    assert len(read_votes(path)) == 1


def test_a_vote_is_taken_back_and_what_was_clicked_stays_known(sitting: Any, path: Path) -> None:
    session = sitting()
    before = session.shown()
    take(session, "poor")
    after = session.undo()
    assert (after.left, after.right, after.done, after.can_undo) == (before.left, before.right, 0, False)
    assert read_votes(path) == []
    assert len(path.read_text().splitlines()) == 2
    take(session, "good")
    assert [vote.preference for vote in read_votes(path)] == [1.0]
    assert len(session.votes) == 1


def test_nothing_to_take_back_is_no_mistake(sitting: Any) -> None:
    assert sitting().undo().done == 0


def test_a_pair_that_was_skipped_is_not_shown_again_but_in_a_later_sitting(sitting: Any, path: Path) -> None:
    session = sitting(10)
    while session.shown().messages is not None:
        session.vote(session.shown().key, "skip")
    assert len(read_votes(path)) == 10
    assert firsts(read_votes(path)) == []
    assert sitting(10).planned[0] == 10


def test_a_second_sitting_goes_on_where_the_first_ended(sitting: Any) -> None:
    first = sitting(12)
    for _ in range(5):
        take(first, "good")
    assert sitting(12).planned[0] == 7
    assert sitting(12, dataclasses.replace(Who("ben", "", "", 0, "", ""), a="orpo")).planned[0] == 12


def test_a_line_that_a_killed_process_left_is_healed(sitting: Any, path: Path) -> None:
    session = sitting()
    take(session, "good")
    take(session, "good")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "12')
    assert len(read_votes(path)) == 2
    VoteFile(path)
    assert path.read_bytes() == whole


def test_a_disk_that_takes_half_a_row_leaves_none(
    sitting: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sitting()
    take(session, "good")
    whole = path.read_bytes()
    really = Path.open

    class Half:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def write(self, row: bytes) -> int:
            return int(self._file.write(row[: len(row) // 2]))

        def fileno(self) -> int:
            return int(self._file.fileno())

    def opened(self: Path, mode: str = "r", *more: Any, **kwargs: Any) -> Any:
        file = really(self, mode, *more, **kwargs)
        return Half(file) if mode == "ab" else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match=os.strerror(28)):
        take(session, "good")
    monkeypatch.undo()
    assert path.read_bytes() == whole
    assert session.shown().done == 1
    take(session, "good")
    assert len(read_votes(path)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"preference": 0.7},
        {"preference": True},
        {"split": "train"},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"seed": "0"},
        {"more": 1},
    ],
)
def test_a_row_that_is_no_vote_is_named(sitting: Any, path: Path, change: dict[str, Any]) -> None:
    take(sitting(), "good")
    row = json.loads(path.read_text())
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | change) + "\n")
    with pytest.raises(UserError, match="as harness arena writes it") as told:
        read_votes(path)
    assert f"{path}:2" in str(told.value)


def test_pairs_go_by_the_majority_of_voters(sitting: Any, path: Path, tmp_path: Path) -> None:
    for voter, choice in (("ann", "good"), ("ben", "good"), ("cyd", "poor")):
        session = sitting(4, Who(voter, "orpo", "sft_dpo", 0, "m", "n"))
        for _ in range(4):
            take(session, choice)
    rows = pairs_of(read_votes(path), "run-1")
    assert len(rows) == 4
    assert sorted(row["chosen"] for row in rows) == [f"good {n}" for n in range(4)]
    assert {(row["arm_chosen"], row["arm_rejected"], row["votes"]) for row in rows} == {
        ("orpo", "sft_dpo", 3)
    }
    assert rows[0]["voters"] == ["ann", "ben", "cyd"]
    assert {row["split"] for row in rows} == {"new"}
    assert write_pairs(read_votes(path), "run-1", tmp_path / "pairs.jsonl") == 4
    assert {round(value, 9) for value in preferences(read_votes(path)).values()} == {
        round(2 / 3, 9),
        round(1 / 3, 9),
    }


def test_ties_and_skips_make_no_pairs(sitting: Any, path: Path, tmp_path: Path) -> None:
    session = sitting(4)
    for choice in ("tie", "skip", "tie", "skip"):
        session.vote(session.shown().key, choice)
    assert write_pairs(read_votes(path), "run-1", tmp_path / "pairs.jsonl") == 0
    assert not (tmp_path / "pairs.jsonl").exists()
