"""When an arm's search ends: every arm comes as near to the same amount as whole trials allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import TuningTrial
from harness.records.tuning import TuningAxis


def cost_of(trial: TuningTrial, axis: TuningAxis) -> float | None:
    """What a trial took of the budget; None where that is not known, since it failed."""
    return {"trials": 1.0, "flops": trial.flops, "device_seconds": trial.seconds}[axis]


def next_cost(trials: Sequence[TuningTrial], axis: TuningAxis, foretold: float) -> float:
    """What one more trial should take: the mean of those whose cost is known, else as `foretold`."""
    known = [cost for trial in trials if (cost := cost_of(trial, axis)) is not None]
    return sum(known) / len(known) if known else foretold


def spent(trials: Sequence[TuningTrial], axis: TuningAxis, foretold: float) -> float:
    """What an arm has used; a trial that failed is charged what one more would take."""
    unknown = next_cost(trials, axis, foretold)
    costs = [cost_of(trial, axis) for trial in trials]
    return sum(unknown if cost is None else cost for cost in costs)


def goes_on(trials: Sequence[TuningTrial], axis: TuningAxis, amount: float, foretold: float) -> bool:
    """Whether one more trial brings the arm nearer to `amount`: it exceeds it by no more than it falls short
    without."""
    used = spent(trials, axis, foretold)
    return used + next_cost(trials, axis, foretold) - amount <= amount - used


def trials_left(trials: Sequence[TuningTrial], axis: TuningAxis, amount: float, foretold: float) -> int:
    """How many more there should be, by what they cost so far."""
    cost = next_cost(trials, axis, foretold)
    return max(0, round((amount - spent(trials, axis, foretold)) / cost)) if cost else 0
