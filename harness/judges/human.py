"""People: prefers what `harness arena` wrote down, and says nothing of pairs that nobody was shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.judges import Duel, Progress, quiet
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel
from harness.votes import Vote, preferences, read_votes

WHERE = "judge_config.votes"


class Config(SpecModel):
    """`votes` is the file that harness arena writes, `runs/<id>/arena/votes.jsonl`."""

    votes: str


class People:
    """The mean vote on a prompt with these very two answers, in whichever order they were shown."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        voters = sorted({vote.voter for vote in votes})
        self.name = f"human ({', '.join(voters)})" if voters else "human"
        self._preferences = preferences(votes)

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """A mean over voters, None where none voted."""
        return [self._preferences.get(duel) for duel in duels]


def files(config: Config) -> list[Named]:
    """The votes: more of them judge again."""
    return [Path(config.votes)]


def check(config: Config) -> None:
    """Raise UserError where there is no file of votes, or none in it that counts."""
    path = Path(config.votes)
    if not path.is_file():
        raise UserError(
            f"{config.votes} is no file", where=WHERE, remedy="vote first, by `harness arena RUN`"
        )
    if not preferences(read_votes(path)):
        raise UserError(
            f"{config.votes} holds no vote that counts", where=WHERE, remedy="vote by `harness arena RUN`"
        )


def make(config: Config, cache: Path | None = None) -> People:
    """The judge."""
    return People(read_votes(Path(config.votes)))
