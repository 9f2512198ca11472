"""An arm's score on one metric, with the interval that its number of seeds allows."""

from __future__ import annotations

from harness.evidence.statistics.estimate import ITEMS_TARGET, Estimate
from harness.evidence.statistics.paired import items_estimate, seeds_estimate
from harness.evidence.view import ComparisonView
from harness.quantities import is_share


def arm_score(view: ComparisonView, arm: str, metric: str) -> Estimate:
    """Mean over seeds with an interval over them; at one seed, over items."""
    tables = [view.items.get(f"{arm}@{cell.seed}", {}).get(metric) for cell in view.cells_of(arm)]
    by_seed = [table for table in tables if table]
    about = 0.5 if is_share(metric) else None
    if len(by_seed) == 1:
        return items_estimate(by_seed[0], about=about, clusters=view.clusters_of(metric))
    if not by_seed:
        return Estimate.absent("no values", target=ITEMS_TARGET)
    return seeds_estimate(by_seed, about=about)
