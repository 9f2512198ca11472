"""What people said of two answers: one row a vote in `arena/votes.jsonl` of a run's folder.

The file only grows. A vote that is taken back is written again with `undone`, so that what was clicked
stays known. A row holds the texts that were seen: it counts for these very answers, whatever becomes of their
stages.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from harness.errors import UserError
from harness.records import StageResult, TrainFacts
from harness.redact import value_hider

FOLDER, FILE = "arena", "votes.jsonl"
Message = dict[str, str]
Split = Literal["test", "new"]
PREFERENCES = (0.0, 0.5, 1.0)
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "Split": (str,),
    "list[Message]": (list,),
}


@dataclass(frozen=True)
class Vote:
    """One choice between the answers of arm `a` and arm `b` to one prompt at one seed.

    `preference` is 1 where `answer_a` was preferred, 0 where `answer_b` was, 0.5 for a tie, and None where
    the voter skipped. `a_first` says whether `answer_a` stood on the left, drawn by `order_seed`; `again`
    that the voter had seen the pair before, the other way round. `milliseconds` passed since the answers were
    shown. `time` is UTC. `split` is `test` where the prompt stands in the run's test split. `model_a` and
    `model_b` name the trained models that answered (`model_of`).
    """

    id: str
    time: str
    voter: str
    prompt_id: str
    split: Split
    a: str
    b: str
    seed: int
    order_seed: int
    a_first: bool
    again: bool
    preference: float | None
    milliseconds: int
    messages: list[Message]
    answer_a: str
    answer_b: str
    model_a: str
    model_b: str
    undone: bool = False

    @property
    def prompt(self) -> str:
        """The last question of the user, as judges are given it."""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def took_first(self) -> float | None:
        """1 where the answer on the left was preferred, 0 the right, 0.5 a tie, None where it was skipped."""
        return self.preference if self.preference is None or self.a_first else 1 - self.preference


class VoteFile:
    """Votes appended one by one, each on the disk before it counts. One process writes at a time."""

    def __init__(self, path: Path) -> None:
        """Begin or go on; a last line that a killed process left without its end is taken away."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._heal()

    def _heal(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("r+b") as file:
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            os.fsync(file.fileno())

    def append(self, vote: Vote) -> None:
        """Write one row and wait until the disk has it; a row that does not fit is taken away again."""
        line = value_hider()(json.dumps(asdict(vote))) + "\n"
        try:
            with self._path.open("ab", buffering=0) as file:
                row = line.encode("ascii")
                if file.write(row) != len(row):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fsync(file.fileno())
        except OSError:
            self._heal()
            raise


def votes_path(run_folder: Path) -> Path:
    """Where a run keeps its votes."""
    return run_folder / FOLDER / FILE


def read_votes(path: Path) -> list[Vote]:
    """Votes that stand, in their order; a last line without its end is left out.

    Raises UserError where a row is no vote.
    """
    if not path.is_file():
        return []
    standing: dict[str, Vote] = {}
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="check who may read it"
        ) from None
    for number, line in enumerate(lines, 1):
        vote = _vote(line)
        if vote is None:
            raise UserError(
                "is not as harness arena writes it",
                where=f"{path}:{number}",
                remedy="mend this line, or take it away; the others stay valid",
            )
        standing.pop(vote.id, None)
        if not vote.undone:
            standing[vote.id] = vote
    return list(standing.values())


def _vote(line: bytes) -> Vote | None:
    """The row, or None where it is not one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = {field.name: str(field.type) for field in fields(Vote)}
    if not isinstance(row, dict) or row.keys() - {"undone"} != known.keys() - {"undone"}:
        return None
    if not all(_fits(row[name], known[name]) for name in row):
        return None
    sound = row["preference"] in (None, *PREFERENCES) and row["split"] in ("test", "new")
    return Vote(**row) if sound and _are_messages(row["messages"]) else None


def _fits(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))


def _are_messages(messages: Sequence[Any]) -> bool:
    return bool(messages) and all(
        isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("role", "content"))
        for one in messages
    )


def model_of(stage: StageResult) -> str:
    """A name of what a training left; one that ends in other weights has another."""
    weights = stage.facts.weights_at_end if isinstance(stage.facts, TrainFacts) else None
    return f"{stage.digest} {weights or stage.finished_at}"


def firsts(votes: Sequence[Vote]) -> list[Vote]:
    """Choices without skips and without what a voter was only asked again."""
    return [vote for vote in votes if vote.preference is not None and not vote.again]


def preferences(votes: Sequence[Vote]) -> dict[tuple[str, str, str], float]:
    """By (prompt, answer, other answer), voters' mean preference for the first answer; both ways round.

    Judges are given a conversation's last question: what came before it tells no two pairs apart.
    """
    given: dict[tuple[str, str, str], list[float]] = {}
    for vote in firsts(votes):
        assert vote.preference is not None
        given.setdefault((vote.prompt, vote.answer_a, vote.answer_b), []).append(vote.preference)
        given.setdefault((vote.prompt, vote.answer_b, vote.answer_a), []).append(1 - vote.preference)
    return {duel: sum(values) / len(values) for duel, values in given.items()}
