"""The chain of rounds: what each trained on and reached, what its pairs cost, what the last one gained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UserError
from harness.evidence.cells import cost_cell, difference_cell, score_cell
from harness.evidence.costs import arm_cost
from harness.evidence.findings import Findings
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.paired import paired_items, paired_seeds
from harness.evidence.statistics.verdict import is_separable, verdict
from harness.evidence.view import ComparisonView
from harness.quantities import WALL_SECONDS
from harness.records import PrepareFacts, Round
from harness.store.items import read_items
from harness.store.run_dir import RunRoot, read_record
from harness.tables import Cell, Section, Table
from harness.units import plain

COLUMNS = ("round", "run", "arm", "pairs", "added", "making pairs", "score", "training time")
GAINS = ("arm", "score", "gain", "a pair added", "a second of training added", "verdict")


Gains = Mapping[str, tuple[Estimate, tuple[str, ...]]]
"""By arm, what the last round gained, and the stages behind it."""


@dataclass(frozen=True)
class _Earlier:
    """A round of the chain, and its view where its run is still there."""

    told: Round
    view: ComparisonView | None


def section(findings: Findings) -> Section | None:
    """None for a comparison that is no later round."""
    view = findings.view
    if not view.record.chain:
        return None
    metric = _metric(view)
    earlier = [_Earlier(told, _opened(RunRoot(findings.root), told.run)) for told in view.record.chain]
    if metric is None:
        return Section("Rounds", ("No score is better where it is higher, so rounds are not compared.",))
    first, before = earlier[0].view, earlier[-1].view
    tables = [_rounds(earlier, view, metric)]
    words = [*_words(earlier, view)]
    if before is not None:
        gains = _all_gains(before, view, metric)
        tables.append(_gains(before, view, metric, gains))
        words.append(_whether_it_paid(gains))
    if first is not None and len(earlier) > 1:
        words.append(_since_the_first(first, view, metric))
    return Section("Rounds", tuple(words), tuple(tables))


def _metric(view: ComparisonView) -> str | None:
    """The first registered score, else the first of which more is better."""
    named = (*(metric for _, metric in view.written), *view.metrics())
    return next(
        (metric for metric in named if metric in view.metrics() and view.higher_is_better(metric)), None
    )


def _opened(root: RunRoot, run: str) -> ComparisonView | None:
    """An earlier run's view, None where it is gone from the root."""
    try:
        record = read_record(root.find_run(run))
        scored = read_items(root, record)
    except (UserError, OSError):
        return None
    return ComparisonView(record, scored.values, {}, scored.clusters, scored.unread)


def _words(earlier: list[_Earlier], view: ComparisonView) -> tuple[str, ...]:
    last = earlier[-1]
    words = (
        f"Round {len(earlier) + 1} of a chain. Every round is tested on the same pairs and trains from the "
        f"same model; the last pairs are answers of {last.told.arm}, ranked by {last.told.judge}. More pairs "
        "are more steps at the same epochs, so a gain is of the pairs and of the steps together."
    )
    if last.view is None:
        return (
            words,
            f"The round before, {last.told.run}, is gone from this folder of runs, so no gain is told.",
        )
    return (words,)


def _all_gains(before: ComparisonView, view: ComparisonView, metric: str) -> Gains:
    """By arm of both."""
    return {arm: gain(before, view, arm, metric) for arm in view.arms if arm in before.arms}


def _whether_it_paid(gains: Gains) -> str:
    """A plain sentence on the last round, an arm after the other."""
    paid = [arm for arm, (one, _) in gains.items() if is_separable(one) and (one.value or 0.0) > 0]
    rest = [arm for arm in gains if arm not in paid]
    sentences = [f"The last round is shown to have paid for {', '.join(paid)}."] if paid else []
    if rest:
        sentences.append(f"It has not been shown that the last round paid for {', '.join(rest)}.")
    return " ".join(sentences)


def _since_the_first(first: ComparisonView, view: ComparisonView, metric: str) -> str:
    """All rounds together, which nobody asked before and which holds all pairs and steps that were added."""
    gains = _all_gains(first, view, metric)
    told = [f"{arm} {plain(difference_cell(metric, *one))}" for arm, one in gains.items()]
    return f"Since the first round, not registered: {'; '.join(told)}."


def _rounds(earlier: list[_Earlier], view: ComparisonView, metric: str) -> Table:
    """A row an arm and round; what a round added stands with the round that trained on it."""
    views = [(one.told.run, one.view) for one in earlier] + [(view.record.id, view)]
    added: list[Round | None] = [None, *(one.told for one in earlier)]
    rows = tuple(
        row
        for number, ((run, one), told) in enumerate(zip(views, added, strict=True), 1)
        for row in _rows_of(number, run, one, told, metric, view.arms)
    )
    note = f"Score: {metric}. Making pairs: sampling and judging, charged to no arm."
    return Table("rounds", "What each round trained on and reached", COLUMNS, rows, (note,))


def _rows_of(
    number: int, run: str, view: ComparisonView | None, told: Round | None, metric: str, arms: list[str]
) -> list[tuple[Cell, ...]]:
    made = Cell(None, reason="the first round's pairs were given") if told is None else _made(told)
    count = Cell(0 if told is None else told.pairs_added, "count")
    if view is None:
        gone = [Cell(None, reason=f"{run} is gone from this folder of runs") for _ in range(2)]
        return [(Cell(number, "count"), Cell(run), Cell("all"), gone[0], count, made, *gone)]
    pairs = view.record.results[view.record.plan.prepare].facts_as(PrepareFacts).train_pairs
    return [
        (
            Cell(number, "count"),
            Cell(run),
            Cell(arm),
            Cell(pairs, "count"),
            count,
            made,
            score_cell(view, arm, metric),
            cost_cell(view, arm, WALL_SECONDS),
        )
        for arm in arms
        if arm in view.arms
    ]


def _made(told: Round) -> Cell:
    return Cell(told.seconds, "seconds", reason="nobody measured it")


def _gains(before: ComparisonView, view: ComparisonView, metric: str, gains: Gains) -> Table:
    """A row an arm of both: this round minus the one before, paired by item and seed."""
    added = view.record.chain[-1].pairs_added
    rows = tuple(_gain(before, view, arm, metric, added, *one) for arm, one in gains.items())
    note = (
        "Gain: this round minus the one before on the same items, at the seeds that both have, with its 95% "
        "interval. A gain that is not separable from none has not been shown to pay."
    )
    return Table("gains", "What the last round gained", GAINS, rows, (note,))


def _gain(
    before: ComparisonView,
    view: ComparisonView,
    arm: str,
    metric: str,
    added: int,
    estimate: Estimate,
    sources: tuple[str, ...],
) -> tuple[Cell, ...]:
    cost, earlier = (arm_cost(one, arm, WALL_SECONDS).value for one in (view, before))
    more = None if cost is None or earlier is None else cost - earlier
    value = estimate.value
    a_pair = None if value is None or not added else value / added
    a_second = None if value is None or more is None or more <= 0 else value / more
    slower = "it did not train longer than the round before" if more is not None else "time was not measured"
    return (
        Cell(arm),
        score_cell(view, arm, metric),
        difference_cell(metric, estimate, sources),
        Cell(a_pair, "points", digits=4, reason=estimate.reason or "no pair was added"),
        Cell(a_second, "points", digits=4, reason=estimate.reason or slower),
        Cell(verdict(estimate).text),
    )


def gain(
    before: ComparisonView, view: ComparisonView, arm: str, metric: str
) -> tuple[Estimate, tuple[str, ...]]:
    """This round minus the one before of one arm, and the stages behind it."""
    seeds = [seed for seed in view.seeds if seed in before.seeds]
    now, then = (_tables(one, arm, metric, seeds) for one in (view, before))
    shared = [seed for seed in seeds if seed in now and seed in then]
    sources = (*view.score_sources(arm, metric), *before.score_sources(arm, metric))
    if not shared:
        return Estimate.absent("the rounds share no scored seed"), sources
    if len(shared) == 1:
        clusters = view.clusters_of(metric)
        return paired_items(now[shared[0]], then[shared[0]], clusters=clusters), sources
    return paired_seeds({s: now[s] for s in shared}, {s: then[s] for s in shared}), sources


def _tables(view: ComparisonView, arm: str, metric: str, seeds: list[int]) -> Mapping[int, dict[str, float]]:
    found = {seed: view.items.get(f"{arm}@{seed}", {}).get(metric) for seed in seeds}
    return {
        seed: dict(table) for seed, table in found.items() if table and math.isfinite(sum(table.values()))
    }
