"""Arm against arm: every score and every cost that can be paired."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.evidence.costs import QUANTITIES, TIMED, arm_cost, cost_ratio, memory_kind
from harness.evidence.statistics.estimate import Estimate, paired_both, paired_items, paired_seeds
from harness.evidence.statistics.verdict import verdict
from harness.evidence.view import ComparisonView

HEADLINE_WIN_RATE = "alpaca_eval.win_rate"
NOT_JUDGED = "not judged on CPU"
HOST_MEMORY = "host memory holds the imports and does not repeat, so memory is judged on CUDA alone"


@dataclass(frozen=True)
class Evidence:
    """One quantity of arm `a` against arm `b`; a difference of scores, or a ratio of costs.

    `both` is the same difference about the population of items and seeds, where several seeds allow it.
    """

    quantity: str
    a: str
    b: str
    kind: str
    estimate: Estimate
    verdict: str
    sources: tuple[str, ...]
    both: Estimate | None = None


def arm_pairs(view: ComparisonView) -> list[tuple[str, str]]:
    """Each arm against those before it, and against the base model."""
    arms = view.arms
    pairs = [(a, b) for i, a in enumerate(arms) for b in reversed(arms[:i])]
    return pairs + [(arm, "base") for arm in arms]


def all_evidence(view: ComparisonView) -> list[Evidence]:
    """Costs first, then scores; quality is left out where weights were random."""
    found = []
    for a, b in arm_pairs(view):
        if b != "base":
            found += [cost_evidence(view, quantity, a, b) for quantity in QUANTITIES]
        if not view.random_weights:
            for metric in view.metrics():
                one = score_evidence(view, metric, a, b) or score_evidence(view, metric, b, a)
                if one is not None:
                    found.append(one)
    return found


def score_evidence(view: ComparisonView, metric: str, a: str, b: str) -> Evidence | None:
    """The paired difference a - b of a metric, or None where they share no items.

    A win rate of `a` against `b` itself is compared with one half on every item.
    """
    left, right = _by_seed(view, a, metric), _by_seed(view, b, metric)
    if a != "base" and view.rival_of(metric) == b:
        itself = view.against_itself(metric)
        right = {seed: dict.fromkeys(table, itself) for seed, table in left.items()}
    if not left or not right:
        return None
    shared = sorted(left.keys() & right.keys())
    both = None
    if len(shared) > 1:
        estimate, both = paired_seeds(left, right), paired_both(left, right)
    else:
        estimate = paired_items(left[shared[0]], right[shared[0]])
    sources = (*view.score_sources(a, metric), *view.score_sources(b, metric))
    said = verdict(estimate, words=_words(view, metric))
    return Evidence(metric, a, b, "difference", estimate, said, tuple(dict.fromkeys(sources)), both)


def _words(view: ComparisonView, metric: str) -> tuple[str, str]:
    """What a lies above b and below it means for this metric."""
    higher = view.higher_is_better(metric)
    if higher is None:
        return "higher", "lower"
    return ("better", "worse") if higher else ("worse", "better")


def _by_seed(view: ComparisonView, arm: str, metric: str) -> dict[int, dict[str, float]]:
    """Items by seed; the base model, which has none, stands at every seed."""
    if arm == "base":
        table = view.items.get("base", {}).get(metric)
        return dict.fromkeys(view.seeds, table) if table else {}
    tables = {seed: view.items.get(f"{arm}@{seed}", {}).get(metric) for seed in view.seeds}
    return {seed: table for seed, table in tables.items() if table}


def cost_evidence(view: ComparisonView, quantity: str, a: str, b: str) -> Evidence:
    """The ratio a / b of a cost; counted ones are said to be less or more, timed ones tested."""
    left, right = arm_cost(view, a, quantity), arm_cost(view, b, quantity)
    estimate, sources = cost_ratio(view, a, b, quantity), (*left.sources, *right.sources)
    if estimate.value is None or quantity in TIMED:
        said = verdict(estimate, neutral=1.0, words=("worse", "better"))
    else:
        said = "equal" if estimate.value == 1 else "less" if estimate.value < 1 else "more"
        if quantity == "peak_memory_bytes" and memory_kind(view) == "host_rss":
            said, estimate = NOT_JUDGED, replace(estimate, reason=HOST_MEMORY)
    return Evidence(f"cost.{quantity}", a, b, "ratio", estimate, said, sources)
