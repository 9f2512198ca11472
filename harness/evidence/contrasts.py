"""Arm against arm: every score and every cost that can be paired."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evidence.amounts import EQUAL_COST, TENFOLD, detectable_effect, span, unit_of
from harness.evidence.costs import MemoryKind, arm_cost, cost_ratio, memory_kind
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.linearised import Items
from harness.evidence.statistics.paired import differences, paired_both, paired_items, paired_seeds
from harness.evidence.statistics.verdict import OPPOSITE, Outcome, Verdict, verdict
from harness.evidence.view import BASE, ComparisonView
from harness.quantities import COSTS, PEAK_MEMORY, Quantity, is_share

NOT_JUDGED = Verdict(Outcome.NOT_JUDGED, "not judged on CPU")
HOST_MEMORY = "host memory holds the imports and does not repeat, so memory is judged on CUDA alone"


@dataclass(frozen=True)
class Contrast:
    """One quantity of arm `a` against arm `b`; a difference of scores, or a ratio of costs.

    `both` is the same difference about the population of items and seeds, where several seeds allow it.
    `reach` is the largest difference, or ratio, that the quantity can have (`amounts`).
    """

    quantity: str
    a: str
    b: str
    kind: str
    estimate: Estimate
    verdict: Verdict
    sources: tuple[str, ...]
    both: Estimate | None = None
    reach: float = math.inf

    def turned(self) -> Contrast:
        """The same difference seen from the other arm."""
        value = self.estimate
        estimate = replace(
            value,
            value=None if value.value is None else -value.value,
            low=None if value.high is None else -value.high,
            high=None if value.low is None else -value.low,
            centre=None if value.centre is None else -value.centre,
        )
        outcome = OPPOSITE.get(self.verdict.outcome)
        opposite = Verdict.plain(outcome) if outcome else self.verdict
        return replace(self, a=self.b, b=self.a, estimate=estimate, verdict=opposite, both=None)


def arm_pairs(view: ComparisonView) -> list[tuple[str, str]]:
    """Each arm against those before it, and against the base model."""
    arms = view.arms
    pairs = [(a, b) for i, a in enumerate(arms) for b in reversed(arms[:i])]
    return pairs + [(arm, BASE) for arm in arms]


def all_contrasts(view: ComparisonView) -> list[Contrast]:
    """Costs first, then scores; quality is left out where weights were random."""
    contrasts = []
    for a, b in arm_pairs(view):
        if b != BASE and not view.replayed:
            contrasts += [cost_contrast(view, quantity, a, b) for quantity in COSTS]
        if not view.random_weights:
            for metric in view.metrics():
                one = score_contrast(view, metric, a, b) or score_contrast(view, metric, b, a)
                if one is not None:
                    contrasts.append(one)
    return contrasts


def score_contrast(view: ComparisonView, metric: str, a: str, b: str) -> Contrast | None:
    """The paired difference a - b of a metric, or None where they share no items.

    A win rate of `a` against `b` itself is compared with one half on every item.
    """
    left, right = sides(view, metric, a, b)
    shared = sorted(left.keys() & right.keys())
    if not shared:
        return None
    both, clusters = None, view.clusters_of(metric)
    if len(shared) > 1:
        estimate = paired_seeds(left, right)
        both = paired_both(left, right, clusters=clusters)
    else:
        estimate = paired_items(left[shared[0]], right[shared[0]], clusters=clusters)
    sources = (*view.score_sources(a, metric), *view.score_sources(b, metric))
    above, below = directions(view, metric)
    reach = score_reach(view, metric, a, b)
    smallest = detectable_effect(unit_of(metric), estimate.detectable, reach)
    conclusion = verdict(estimate, above=above, below=below, smallest=smallest)
    behind = tuple(dict.fromkeys(sources))
    return Contrast(metric, a, b, "difference", estimate, conclusion, behind, both, reach)


def seed_differences(view: ComparisonView, metric: str, a: str, b: str) -> list[Items]:
    """Per-item differences a - b at each seed that has any."""
    return differences(*sides(view, metric, a, b))


def without_seeds(view: ComparisonView, seeds: Sequence[int]) -> ComparisonView:
    """The view without the scores of these seeds."""
    gone = {f"{arm}@{seed}" for arm in view.arms for seed in seeds}
    return replace(view, items={cell: table for cell, table in view.items.items() if cell not in gone})


def sides(
    view: ComparisonView, metric: str, a: str, b: str
) -> tuple[dict[int, dict[str, float]], dict[int, dict[str, float]]]:
    """Items of arms `a` and `b` by seed; of a rival of `a`, what it scores against itself."""
    left, right = _by_seed(view, a, metric), _by_seed(view, b, metric)
    if a != BASE and view.rival_of(metric) == b:
        itself = view.against_itself(metric)
        right = {seed: dict.fromkeys(table, itself) for seed, table in left.items()}
    return left, right


def score_reach(view: ComparisonView, metric: str, a: str, b: str) -> float:
    """How far two arms can differ: in a share by all of it, or by half from a rival; else by the span."""
    if is_share(metric):
        return 0.5 if view.rival_of(metric) in (a, b) else 1.0
    left, right = sides(view, metric, a, b)
    return span(v for tables in (left, right) for table in tables.values() for v in table.values())


def directions(view: ComparisonView, metric: str) -> tuple[Outcome, Outcome]:
    """What a lies above b and below it means for this metric."""
    higher = view.higher_is_better(metric)
    if higher is None:
        return Outcome.HIGHER, Outcome.LOWER
    return (Outcome.BETTER, Outcome.WORSE) if higher else (Outcome.WORSE, Outcome.BETTER)


def _by_seed(view: ComparisonView, arm: str, metric: str) -> dict[int, dict[str, float]]:
    """Items by seed; the base model, which has none, stands at every seed."""
    if arm == BASE:
        table = view.items.get(BASE, {}).get(metric)
        return dict.fromkeys(view.seeds, table) if table else {}
    tables = {seed: view.items.get(f"{arm}@{seed}", {}).get(metric) for seed in view.seeds}
    return {seed: table for seed, table in tables.items() if table}


def cost_contrast(view: ComparisonView, quantity: Quantity, a: str, b: str) -> Contrast:
    """The ratio a / b of a cost; counted ones are said to be less or more, timed ones tested."""
    left, right = arm_cost(view, a, quantity), arm_cost(view, b, quantity)
    estimate, sources = cost_ratio(view, a, b, quantity), (*left.sources, *right.sources)
    ratio = estimate.value
    if estimate.identical:
        conclusion = EQUAL_COST
    elif ratio is None or quantity.timed:
        smallest = detectable_effect("percent", estimate.detectable, TENFOLD)
        conclusion = verdict(
            estimate, neutral=1.0, above=Outcome.WORSE, below=Outcome.BETTER, smallest=smallest
        )
    elif quantity == PEAK_MEMORY and memory_kind(view) == MemoryKind.HOST:
        conclusion, estimate = NOT_JUDGED, replace(estimate, reason=HOST_MEMORY)
    else:
        conclusion = Verdict.plain(_counted(ratio))
    return Contrast(quantity.cost_name, a, b, "ratio", estimate, conclusion, sources, reach=TENFOLD)


def _counted(ratio: float) -> Outcome:
    """What a ratio of values that repeat exactly says."""
    if ratio == 1:
        return Outcome.EQUAL
    return Outcome.LESS if ratio < 1 else Outcome.MORE
