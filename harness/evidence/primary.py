"""Which two arms, and which of their scores, the first page is about: what was registered, and no names."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.view import ComparisonView
from harness.quantities import COST, is_win_rate


@dataclass(frozen=True)
class Primary:
    """The primary contrast: arm `a` seen against arm `b`."""

    a: str
    b: str


def primary(view: ComparisonView) -> Primary | None:
    """The arms of the first registered question that this comparison holds.

    Without one: the first arm that is neither baseline nor cost reference, against the cost reference (or
    the baseline where the comparison lacks that). None where there is one arm alone.
    """
    arms = view.arms
    for question in view.questions:
        if {question.a, question.b} <= set(arms):
            return Primary(question.a, question.b)
    reference = next((arm for arm in (view.cost_reference, view.baseline) if arm in arms), arms[0])
    others = [arm for arm in arms if arm != reference]
    if not others:
        return None
    chosen = next((arm for arm in others if arm != view.baseline), None)
    # Baseline and cost reference alone: the one that costs is the one that is asked about.
    return Primary(chosen, reference) if chosen is not None else Primary(reference, others[0])


def head_to_head(view: ComparisonView, pair: Primary) -> str | None:
    """The win rate of one of the two against the other's answers, or None where they never met."""
    for metric in view.metrics():
        rival = view.rival_of(metric)
        if is_win_rate(metric) and rival in (pair.a, pair.b):
            challenger = pair.a if rival == pair.b else pair.b
            if view.item_means(challenger, metric):
                return metric
    return None


def headline_score(view: ComparisonView, pair: Primary) -> str | None:
    """The score that two arms are compared by first: head to head, registered, or directed at all."""
    asked = [q.quantity for q in view.questions if not q.quantity.startswith(COST)]
    known = view.metrics()
    directed = (metric for metric in known if view.higher_is_better(metric) is not None)
    registered = (quantity for quantity in asked if quantity in known)
    return head_to_head(view, pair) or next(registered, None) or next(directed, None)


def own_score(view: ComparisonView) -> str | None:
    """The score that stands against costs: one that every arm has by itself, without a rival.

    The first registered one, or the first that has a direction.
    """
    alone = [metric for metric in view.metrics() if view.rival_of(metric) is None]
    asked = [q.quantity for q in view.questions if q.quantity in alone]
    directed = [metric for metric in alone if view.higher_is_better(metric) is not None]
    return next(iter([*asked, *directed, *view.metrics()]), None)
