"""Ratios of two arms on several kinds of device: one of each kind, and a random-effects mean over kinds.

Seconds of two kinds have no common mean: whichever kind had more blocks would decide it. A ratio that is
formed within a block is of the arms alone; kinds may still differ in it, as in how much a reference costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.statistics.estimate import (
    KIND_TARGET,
    Estimate,
    exponential,
    mean_interval,
)
from harness.evidence.statistics.meta import Combined, Effect, combine

TOO_FEW = "no kind of device has two blocks, so nothing tells how far a ratio varies"


@dataclass(frozen=True)
class OverKinds:
    """Ratios by kind of device, about repeated runs on it; over kinds the `combined` logarithm, None where it
    cannot be formed, and its ratio as `estimate`, about kinds like these. `within` is the pooled variance of
    a block's logarithm within its kind, with its degrees of freedom."""

    by_kind: Mapping[str, Estimate]
    combined: Combined | None
    estimate: Estimate
    within: tuple[float, float]

    @property
    def predicted(self) -> tuple[float, float] | None:
        """95% prediction interval of the ratio that one more kind would measure; from 3 kinds."""
        logs = self.combined.predicted if self.combined is not None else None
        return None if logs is None else (math.exp(logs[0]), math.exp(logs[1]))


def over_kinds(logs: Mapping[str, Sequence[float]]) -> OverKinds:
    """`logs` has the logarithms of a block's ratio by kind of device, one at least for each of 2 kinds or
    more.

    A kind with one block has no spread of its own, and the pooled one of the others stands in for it.
    """
    by_kind = {kind: mean_interval(values, KIND_TARGET) for kind, values in logs.items()}
    target = f"kinds of device like these {len(logs)}"
    within = pooled_variance(list(logs.values()))
    effects = _effects(logs, *within)
    combined = combine(effects, target) if effects else None
    whole = combined.estimate if combined else Estimate.absent(TOO_FEW, n=len(logs), target=target)
    ratios = {kind: exponential(one) for kind, one in by_kind.items()}
    return OverKinds(ratios, combined, exponential(whole), within)


def _effects(logs: Mapping[str, Sequence[float]], pooled: float, freedom: float) -> list[Effect]:
    """Mean, standard error and its degrees of freedom by kind; none where no kind has two blocks."""
    if not freedom:
        return []
    effects = []
    for kind, values in logs.items():
        n, mean = len(values), math.fsum(values) / len(values)
        own = math.fsum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else pooled
        effects.append(Effect(mean, math.sqrt(own / n), float(n - 1) if n > 1 else freedom, kind))
    return effects


def pooled_variance(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Within groups, with its degrees of freedom: 0 where no group has two values."""
    squares, freedom = 0.0, 0
    for values in groups:
        mean = math.fsum(values) / len(values)
        squares += math.fsum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
    return (squares / freedom if freedom else 0.0), float(freedom)
