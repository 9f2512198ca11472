"""A jury: several judges, their votes averaged, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from harness.errors import UserError
from harness.judges import Duel, JudgeModule, Progress, announce, judge_needs_hub, load_judge, quiet, usage_of
from harness.judges._agreement import krippendorff_alpha
from harness.pipeline.spec import SpecModel
from harness.pipeline.validate import validate


class Member(SpecModel):
    """One judge of the jury with its own settings."""

    judge: str
    judge_config: dict[str, Any] = Field(default_factory=dict)


class Config(SpecModel):
    """At least two judges."""

    judges: Annotated[list[Member], Field(min_length=2)]


class Jury:
    """The mean of the votes that could be read; None where no judge could tell."""

    def __init__(self, judges: Sequence[Any]) -> None:
        self._judges = judges
        self.name = f"jury of {', '.join(judge.name for judge in judges)}"
        self._votes: list[list[float | None]] = [[] for _ in judges]

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """Every judge is asked every duel."""
        total = len(duels) * len(self._judges)
        votes = []
        for number, judge in enumerate(self._judges):
            before = number * len(duels)
            votes.append(
                judge.prefer_all(duels, lambda done, _, before=before: progress(before + done, total))
            )
        for kept, new in zip(self._votes, votes, strict=True):
            kept += new
        known = [[v for v in ballots if v is not None] for ballots in zip(*votes, strict=True)]
        return [sum(ballots) / len(ballots) if ballots else None for ballots in known]

    def announce(self, duels: Sequence[Duel]) -> None:
        """Let every judge that costs something say so."""
        for judge in self._judges:
            announce(judge, duels)

    def usage(self) -> dict[str, Any]:
        """Each judge's own, the agreement over all duels so far, and the money of all."""
        members = {judge.name: usage_of(judge) for judge in self._judges}
        prices = [
            member_usage["money"]
            for member_usage in members.values()
            if member_usage.get("money") is not None
        ]
        return {
            "members": members,
            "krippendorff_alpha": krippendorff_alpha(self._votes),
            "money": sum(prices) if prices else None,
        }


def make(config: Config, cache: Path | None = None) -> Jury:
    """The jury with all its judges."""
    return Jury([module.make(member_config, cache) for module, member_config in _members(config)])


def needs_hub(config: Config) -> bool:
    """Whether some judge's model may have to be fetched."""
    return any(judge_needs_hub(module, member_config) for module, member_config in _members(config))


def check(config: Config) -> None:
    """Raise UserError where some judge of it lacks something."""
    for module, member_config in _members(config):
        module.check(member_config)


def _members(config: Config) -> list[tuple[JudgeModule, SpecModel]]:
    members = []
    for number, member in enumerate(config.judges):
        place = ("judge_config", "judges", str(number))
        if member.judge == "jury":
            raise UserError("a jury cannot sit on a jury", where=".".join(place), remedy="list its judges")
        module = load_judge(member.judge, where=".".join(place))
        member_config = validate(module.Config, member.judge_config, prefix=(*place, "judge_config"))
        members.append((module, member_config))
    return members
