"""An arm's score on one metric, with the interval that its number of seeds allows."""

from __future__ import annotations

from dataclasses import replace

from harness.evidence.statistics.estimate import (
    ITEMS_TARGET,
    POPULATION_TARGET,
    Estimate,
    mean_interval,
    wilson,
)
from harness.evidence.view import ComparisonView
from harness.quantities import is_share


def arm_score(view: ComparisonView, arm: str, metric: str) -> Estimate:
    """Mean over seeds with a t interval; at one seed, Wilson's over items for shares of right ones."""
    means = view.item_means(arm, metric)
    estimate = mean_interval(means, ITEMS_TARGET)
    if len(means) != 1:
        return _within_a_share(estimate) if is_share(metric) else estimate
    tables = [view.items.get(f"{arm}@{cell.seed}", {}).get(metric) for cell in view.cells_of(arm)]
    values = list(next((t for t in tables if t), {}).values())
    if any(v not in (0.0, 1.0) for v in values):
        return estimate
    low, high = wilson(round(sum(values)), len(values))
    return replace(estimate, low=low, high=high, n=len(values), target=POPULATION_TARGET, reason=None)


def _within_a_share(estimate: Estimate) -> Estimate:
    """The part of the interval that a share can reach; what is cut off cannot be the truth."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))
