"""When a trial's last stage ends early: least values of its probes, from earlier trials of its arm. Pure.

Median stopping (Golovin et al. 2017, section 3.2.2), and hyperband's brackets (Li et al. 2018, arXiv
1603.06560) with the asynchronous rule at their rungs (Li et al. 2020, arXiv 1810.05934), as Optuna has them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from harness.records import EndRule
from harness.records.tuning import Pruner

METRIC = "probe_preference_accuracy"
FEWEST = 5
"""Trials that run to their end before a median ends any."""
REDUCTION = 3
RUNGS = ((1 / 9, 1 / 3), (1 / 3,), ())
"""By bracket, the shares of the steps at which the best third go on."""
BRACKETS = (0, 0, 0, 1, 1, 2)
"""The brackets of successive trials: the more a bracket prunes, the more trials it has."""
Curve = Sequence[tuple[float, float]]
"""(share of the steps, value) of a stage's probes, in order."""
SAME = 1e-6


def end_rule(pruner: Pruner, curves: Mapping[int, Curve], number: int) -> EndRule | None:
    """The rule for trial `number` (from 1), from the `curves` of earlier ones; None where it may run on."""
    if pruner == "median":
        least = _medians(list(curves.values()))
    elif pruner == "hyperband":
        least = _rungs(curves, number)
    else:
        least = []
    return EndRule(by=pruner, metric=METRIC, least=least) if least else None


def _medians(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """Wherever a trial was probed; those that had been ended by then say nothing there."""
    if len(curves) < FEWEST:
        return []
    shares = sorted({round(share, 6) for curve in curves for share, _ in curve if SAME < share < 1 - SAME})
    return [(share, statistics.median(_values_at(curves, share))) for share in shares]


def _values_at(curves: Sequence[Curve], share: float) -> list[float]:
    return [value for curve in curves for at, value in curve if abs(at - share) < SAME]


def bracket_of(number: int) -> int:
    """The bracket of a trial."""
    return BRACKETS[(number - 1) % len(BRACKETS)]


def _rungs(curves: Mapping[int, Curve], number: int) -> list[tuple[float, float]]:
    """At each rung what the trial needs to be among the best third of its bracket, itself included."""
    mine = [curve for one, curve in curves.items() if bracket_of(one) == bracket_of(number)]
    least = []
    for rung in RUNGS[bracket_of(number)]:
        reached = [first for curve in mine if (first := _first_from(curve, rung)) is not None]
        if reached:
            values = sorted((value for _, value in reached), reverse=True)
            go_on = max(1, (len(values) + 1) // REDUCTION)
            least.append((reached[0][0], values[go_on - 1]))
    return least


def _first_from(curve: Curve, rung: float) -> tuple[float, float] | None:
    """The first probe at or after a rung, before the end."""
    return next(((s, v) for s, v in curve if rung - SAME <= s < 1 - SAME), None)
