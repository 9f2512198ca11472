"""What repeats of the whole say: ratios with their goals, where the seconds went, losses and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perf import goals
from perf.losses import Window, last_difference
from perf.paired import mean_of, separable
from perf.ratios import Row, print_rows
from perf.spent import means


@dataclass(frozen=True)
class Side:
    """One whole run: `trained` holds a stage's own seconds and its losses by method and seed, `scores` means
    by name, method (or base) and seed, `kinds` where the seconds went."""

    wall: float
    trained: Mapping[str, Mapping[int, tuple[float, list[Window]]]]
    scores: Mapping[str, Mapping[str, Mapping[int, float]]]
    kinds: Mapping[str, float]

    def train_seconds(self, method: str) -> float:
        """Those of a method over all seeds."""
        return sum(seconds for seconds, _ in self.trained[method].values())


@dataclass(frozen=True)
class Repeat:
    """Both sides of one repeat."""

    ours: Side
    stock: Side


def report(repeats: Sequence[Repeat], asked: Mapping[str, Any]) -> int:
    """Print tables and one line of JSON; 1 where a goal is missed."""
    rows = rows_of(repeats)
    print_rows(rows)
    kinds = {"ours": means(r.ours.kinds for r in repeats), "stock": means(r.stock.kinds for r in repeats)}
    for side, seconds in kinds.items():
        _print_kinds(side, seconds)
    losses, scores = losses_of(repeats[0]), scores_of(repeats[0])
    for method, far in losses.items():
        print(
            f"last loss of {method}: relative difference {far:.1e} at most (perf/training.py judges losses)"
        )
    for one in scores:
        print(f"{one['score']} of {one['of']}: ours less stock {one['text']}, {one['verdict']}")
    figures = {"rows": [row.as_json() for row in rows], "kinds": kinds, "losses": losses, "scores": scores}
    print(json.dumps({"benchmark": "whole", **asked, "repeats": len(repeats), **figures}))
    return int(any(row.missed for row in rows))


def rows_of(repeats: Sequence[Repeat]) -> list[Row]:
    """The whole, and the training seconds of each method."""
    walls = [r.ours.wall for r in repeats], [r.stock.wall for r in repeats]
    methods = repeats[0].ours.trained
    return [
        Row("whole", *walls, goals.WHOLE),
        *(
            Row(
                f"training of {method}",
                [r.ours.train_seconds(method) for r in repeats],
                [r.stock.train_seconds(method) for r in repeats],
                goals.STAGE,
            )
            for method in methods
        ),
    ]


def _print_kinds(side: str, seconds: Mapping[str, float]) -> None:
    total = sum(seconds.values())
    print(f"where the seconds of {side} went (mean of repeats, {total:.1f} s)")
    for kind, taken in seconds.items():
        print(f"  {kind:32} {taken:8.1f} s {taken / total:6.1%}")


def losses_of(one: Repeat) -> dict[str, float]:
    """By method the largest relative difference of the last losses, over seeds."""
    return {
        method: max(
            last_difference(losses, one.stock.trained[method][seed][1])
            for seed, (_, losses) in by_seed.items()
        )
        for method, by_seed in one.ours.trained.items()
    }


def scores_of(one: Repeat) -> list[dict[str, Any]]:
    """Each score's difference, paired by seed; the base has one."""
    found = []
    for name, by_method in one.ours.scores.items():
        for method, by_seed in by_method.items():
            stock = one.stock.scores[name][method]
            # Two sums of the same items may differ in their last bits.
            apart = mean_of([round(value - stock[seed], 9) for seed, value in by_seed.items()])
            known = apart.low is not None
            verdict = (
                ("separable" if separable(apart) else "not separable") if known else "one seed, no interval"
            )
            bounds = {"difference": apart.mean, "low": apart.low, "high": apart.high, "text": str(apart)}
            found.append({"score": name, "of": method, **bounds, "verdict": verdict})
    return found
