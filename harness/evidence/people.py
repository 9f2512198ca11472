"""What people voted of two arms, beside what other judges of the run said of the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from harness.evidence.statistics.agreement import Agreement, agreement
from harness.evidence.statistics.estimate import POPULATION_TARGET, Estimate
from harness.evidence.statistics.paired import items_estimate
from harness.evidence.view import ComparisonView
from harness.quantities import is_win_rate
from harness.records import PlannedCell
from harness.votes import Vote, firsts, model_of

HUMAN = "human"
GRADE = "grade"
FEWEST = 10
"""Pairs, below which a rate says nothing worth a figure."""
Place = tuple[str, int]
"""A pair of answers of two arms: its prompt's id and the seed."""


@dataclass(frozen=True)
class Beside:
    """Another judge on the pairs that people judged too: its name, its score, its win rate and agreement."""

    judge: str
    metric: str
    pairs: int
    win_rate: Estimate
    people_win_rate: Estimate
    agreement: Agreement
    sources: tuple[str, ...]


@dataclass(frozen=True)
class People:
    """Votes on arm `a` against arm `b`. `pairs` were decided, `prompts` is how many prompts they have.

    `win_rate` counts a tie as half and takes several voters' mean. `left` is the share of decided votes that
    took the answer on the left, `itself` the share of pairs on which a voter who saw them again with sides
    swapped preferred the same answer. `seconds` is the median time of a vote.
    """

    a: str
    b: str
    voters: tuple[str, ...]
    votes: int
    ties: int
    skipped: int
    pairs: int
    prompts: int
    test: int
    win_rate: Estimate
    left: Estimate
    itself: Estimate
    shown_again: int
    seconds: float | None
    beside: tuple[Beside, ...]


def voted(view: ComparisonView) -> list[People]:
    """One entry for each two arms that people voted on, in the order of the first votes."""
    by_arms: dict[tuple[str, str], list[Vote]] = {}
    for vote in standing(view):
        by_arms.setdefault((vote.a, vote.b), []).append(vote)
    return [_people(view, a, b, votes) for (a, b), votes in by_arms.items()]


def standing(view: ComparisonView) -> list[Vote]:
    """Votes on answers of the models that the run holds now."""
    models = {
        (cell.arm, cell.seed): _model(view, cell)
        for arm in view.arms
        for cell in view.cells_of(arm)
        if cell.stages
    }
    return [
        vote
        for vote in view.votes
        if models.get((vote.a, vote.seed)) == vote.model_a and models.get((vote.b, vote.seed)) == vote.model_b
    ]


def _model(view: ComparisonView, cell: PlannedCell) -> str | None:
    result = view.record.results.get(cell.stages[-1])
    return None if result is None else model_of(result)


def _people(view: ComparisonView, a: str, b: str, votes: Sequence[Vote]) -> People:
    decided = firsts(votes)
    values = _means(decided)
    again = list(_again(votes))
    seen = [vote for vote in votes if vote.preference is not None]
    return People(
        a,
        b,
        tuple(sorted({vote.voter for vote in votes})),
        len(decided),
        sum(vote.preference == 0.5 for vote in decided),
        sum(vote.preference is None for vote in votes),
        len(values),
        len({prompt for prompt, _ in values}),
        len({(v.prompt_id, v.seed) for v in decided if v.split == "test"}),
        _rate(values),
        _share(
            [(v.prompt_id, v.took_first) for v in seen if v.took_first not in (None, 0.5)], "decided vote(s)"
        ),
        _share([(prompt, float(same)) for prompt, same in again], "pair(s) shown again"),
        len(again),
        median(vote.milliseconds for vote in seen) / 1000 if seen else None,
        tuple(_beside(view, a, b, values)),
    )


def _means(votes: Sequence[Vote]) -> dict[Place, float]:
    """Voters' mean preference for arm `a` by pair."""
    given: dict[Place, list[float]] = {}
    for vote in votes:
        if vote.preference is not None:
            given.setdefault((vote.prompt_id, vote.seed), []).append(vote.preference)
    return {place: sum(values) / len(values) for place, values in given.items()}


def _again(votes: Sequence[Vote]) -> Iterator[tuple[str, bool]]:
    """For each pair that a voter saw twice, its prompt and whether both votes took one side."""
    first = {_key(vote): vote.preference for vote in firsts(votes)}
    for vote in votes:
        before = first.get(_key(vote))
        if vote.again and vote.preference is not None and before is not None:
            yield vote.prompt_id, before == vote.preference


def _key(vote: Vote) -> tuple[str, int, str]:
    return vote.prompt_id, vote.seed, vote.voter


def _rate(values: Mapping[Place, float]) -> Estimate:
    """A mean over pairs about one half, with pairs of one prompt as one observation."""
    if len(values) < FEWEST:
        return _too_few(len(values), "judged pair(s)")
    items = {f"{prompt}@{seed}": value for (prompt, seed), value in values.items()}
    clusters = {f"{prompt}@{seed}": prompt for prompt, seed in values}
    return items_estimate(items, about=0.5, clusters=clusters)


def _share(values: Sequence[tuple[str, float | None]], what: str) -> Estimate:
    """The share of ones, with values of one prompt as one observation."""
    known = [(prompt, value) for prompt, value in values if value is not None]
    if len(known) < FEWEST:
        return _too_few(len(known), what)
    items = {f"{n}": value for n, (_, value) in enumerate(known)}
    clusters = {f"{n}": prompt for n, (prompt, _) in enumerate(known)}
    return items_estimate(items, about=0.5, clusters=clusters)


def _too_few(n: int, what: str) -> Estimate:
    return Estimate.absent(f"{n} {what}, fewer than {FEWEST}", n=n, target=POPULATION_TARGET)


def _beside(view: ComparisonView, a: str, b: str, people: Mapping[Place, float]) -> Iterator[Beside]:
    for (judge, metric), (theirs, sources) in _judges(view, a, b).items():
        places = [place for place in people if place in theirs]
        if places:
            yield Beside(
                judge,
                metric,
                len(places),
                _rate({place: theirs[place] for place in places}),
                _rate({place: people[place] for place in places}),
                agreement(
                    [people[place] for place in places],
                    [theirs[place] for place in places],
                    [prompt for prompt, _ in places],
                ),
                sources,
            )


Judged = dict[tuple[str, str], tuple[dict[Place, float], tuple[str, ...]]]


def _judges(view: ComparisonView, a: str, b: str) -> Judged:
    """By judge and score, its preference for `a` over `b` of each pair, and the stages that wrote them."""
    found: Judged = {}
    for (cell, metric), (digest, score) in view.written.items():
        arm, _, seed = cell.partition("@")
        judge = str(score.settings.get("judge", ""))
        if arm not in (a, b) or not seed or not judge or judge.startswith(HUMAN):
            continue
        other = b if arm == a else a
        mine = view.items.get(cell, {}).get(metric, {})
        if is_win_rate(metric) and str(score.settings.get("rival")) == f"{other}@{seed}":
            prefers = {item: value if arm == a else 1 - value for item, value in mine.items()}
        elif metric.endswith(f".{GRADE}") and arm == a:
            theirs = view.items.get(f"{b}@{seed}", {}).get(metric, {})
            prefers = {
                i: 0.5 + 0.5 * ((v > theirs[i]) - (v < theirs[i])) for i, v in mine.items() if i in theirs
            }
        else:
            continue
        values, sources = found.get((judge, metric), ({}, ()))
        placed = {(item, int(seed)): value for item, value in prefers.items()}
        found[judge, metric] = (values | placed, tuple(dict.fromkeys([*sources, digest])))
    return found
