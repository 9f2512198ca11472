"""A comparison's record with its per-item values and per-step series, read but not judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.records import ComparisonRecord, PlannedCell, StageResult

ItemTable = dict[str, float]


@dataclass(frozen=True)
class ComparisonView:
    """`items[cell]["benchmark.metric"][item id]` and `series[stage digest]`, rows of metrics.

    A cell's key is `arm@seed`, or `base` for the model that every arm starts from.
    """

    record: ComparisonRecord
    items: dict[str, dict[str, ItemTable]]
    series: dict[str, list[dict[str, Any]]]

    @property
    def arms(self) -> list[str]:
        """Arms in the order of the comparison file."""
        return [arm["name"] for arm in self.record.plan.spec["arms"]]

    @property
    def seeds(self) -> list[int]:
        """Seeds in the order of the comparison file."""
        return list(self.record.plan.spec["seeds"])

    @property
    def baseline(self) -> str:
        """The arm that win rates are against."""
        return str(self.record.plan.spec["baseline"])

    @property
    def cost_reference(self) -> str:
        """The arm whose cost is 100%."""
        return str(self.record.plan.spec["cost_reference"])

    @property
    def prepared(self) -> dict[str, Any]:
        """Facts of the prepare stage."""
        return self.record.results[self.record.plan.prepare].facts

    @property
    def random_weights(self) -> bool:
        """Whether training began from random weights, so that scores mean nothing."""
        return bool(self.prepared["random_weights"])

    def cells_of(self, arm: str) -> list[PlannedCell]:
        """The arm's cells, by seed."""
        return [cell for cell in self.record.plan.cells if cell.arm == arm]

    def stages_of(self, cell: PlannedCell) -> list[StageResult]:
        """The training stages of a cell, in order."""
        return [self.record.results[digest] for digest in cell.stages]

    def metrics(self) -> list[str]:
        """Every `benchmark.metric` that some cell has, in order of appearance."""
        found: dict[str, None] = {}
        for table in self.items.values():
            found.update(dict.fromkeys(table))
        return list(found)

    def item_means(self, arm: str, metric: str) -> list[float]:
        """The arm's score at each seed that has it: (num_seeds,)."""
        tables = [self.items.get(f"{arm}@{cell.seed}", {}).get(metric) for cell in self.cells_of(arm)]
        return [sum(t.values()) / len(t) for t in tables if t]
