"""A jury: several judges, their votes averaged, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Field

from harness.errors import UserError
from harness.judges import (
    Duel,
    Judge,
    JudgeModule,
    Progress,
    announce,
    judge_needs_hub,
    load_judge,
    preferences_of,
    quiet,
    usage_of,
)
from harness.judges._agreement import krippendorff_alpha
from harness.judges._purse import Cap, Purse, ledger_of
from harness.pipeline.spec_model import NonNegative, SpecModel
from harness.pipeline.validate import validate


class Member(SpecModel):
    """One judge of the jury with its own settings."""

    judge: str
    judge_config: dict[str, Any] = Field(default_factory=dict)


class Config(SpecModel):
    """At least two judges; `max_cost` is what all of them together may cost in one command."""

    judges: Annotated[list[Member], Field(min_length=2)]
    max_cost: NonNegative | None = None


@runtime_checkable
class _Paid(Protocol):
    """A judge that has a purse."""

    @property
    def purse(self) -> Purse: ...


class Jury:
    """The mean of the votes that could be read; None where no judge could tell.

    Where a call holds a pair in both orders, a judge that could read one of them alone has no vote on the
    pair: its vote would carry its leaning to a place into the mean.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        self._judges = judges
        self.name = f"jury of {', '.join(judge.name for judge in judges)}"
        self._ballots: dict[Duel, list[float | None]] = {}

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """Every judge is asked every duel."""
        total = len(duels) * len(self._judges)
        votes = []
        for number, judge in enumerate(self._judges):
            ballots = preferences_of(judge, duels, _after(progress, number * len(duels), total))
            votes.append(_without_half_read(duels, ballots))
        by_duel = [list(ballot) for ballot in zip(*votes, strict=True)]
        self._ballots.update(zip(duels, by_duel, strict=True))
        known = [[vote for vote in ballot if vote is not None] for ballot in by_duel]
        return [sum(ballot) / len(ballot) if ballot else None for ballot in known]

    def announce(self, duels: Sequence[Duel]) -> None:
        """Let every judge that costs something say so."""
        for judge in self._judges:
            announce(judge, duels)

    def agreement(self, duels: Sequence[Duel]) -> float | None:
        """Krippendorff's alpha over the pairs of these duels, a judge's rating the mean over both orders.

        A pair's two orders are one unit, with the answer that stands first in the earlier one preferred by
        so much: judges that lean to a place, or one side that mostly wins, are no agreement on the pairs.
        """
        pairs = {duel: None for duel in duels if duel in self._ballots}
        for duel in duels:
            if duel in pairs and _turned(duel) != duel:
                pairs.pop(_turned(duel), None)
        ratings = [self._ratings(duel) for duel in pairs]
        return krippendorff_alpha(list(zip(*ratings, strict=True))) if ratings else None

    def _ratings(self, duel: Duel) -> list[float | None]:
        """Each judge's preference for the first answer of `duel`, averaged with the other order's."""
        ballot = self._ballots[duel]
        other = self._ballots.get(_turned(duel))
        if other is None:
            return ballot
        both = zip(ballot, other, strict=True)
        return [None if a is None or b is None else (a + 1 - b) / 2 for a, b in both]

    def purses(self) -> list[Purse]:
        """Those of its judges that are paid."""
        return [judge.purse for judge in self._judges if isinstance(judge, _Paid)]

    def usage(self) -> dict[str, Any]:
        """Each judge's own, and the money of all."""
        members = {judge.name: usage_of(judge) for judge in self._judges}
        prices = [usage["money"] for usage in members.values() if usage.get("money") is not None]
        return {"members": members, "money": sum(prices) if prices else None}


def _after(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one judge as part of all."""
    return lambda done, _: progress(before + done, total)


def _turned(duel: Duel) -> Duel:
    prompt, first, second = duel
    return prompt, second, first


def _without_half_read(duels: Sequence[Duel], votes: Sequence[float | None]) -> list[float | None]:
    """Votes without those of pairs whose other order was asked too and could not be read."""
    unread = {duel for duel, vote in zip(duels, votes, strict=True) if vote is None}
    return [None if _turned(duel) in unread else vote for duel, vote in zip(duels, votes, strict=True)]


def make(config: Config, cache: Path | None = None) -> Jury:
    """The jury with all its judges."""
    jury = Jury([module.make(member_config, cache) for module, member_config in _members(config)])
    if config.max_cost is not None:
        purse_of_all = Cap(config.max_cost, ledger_of(cache, jury.name), jury.name)
        for purse in jury.purses():
            purse.add_cap(purse_of_all)
    return jury


def needs_hub(config: Config) -> bool:
    """Whether some judge's model may have to be fetched."""
    return any(judge_needs_hub(module, member_config) for module, member_config in _members(config))


def check(config: Config) -> None:
    """Raise UserError where some judge of it lacks something."""
    for module, member_config in _members(config):
        module.check(member_config)
    if config.max_cost is not None:
        _check_prices(make(config.model_copy(update={"max_cost": None})))


def _check_prices(jury: Jury) -> None:
    """Raise UserError for a cap on judges of whom one costs an unknown amount, or none costs anything."""
    if not jury.purses() or not all(purse.has_prices for purse in jury.purses()):
        raise UserError(
            "max_cost of a jury needs the prices of every judge that is paid",
            where="judge_config.max_cost",
            remedy="give price_per_million_input and price_per_million_output in each judge_config",
        )


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
