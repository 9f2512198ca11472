"""Not worse, and the same: tests against a margin that was written down before the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.statistics.estimate import Estimate

ONE_SIDED = 0.025
SAME = 0.05


@dataclass(frozen=True)
class MarginTests:
    """One-sided p of being worse by the margin or more, and p of differing by it or more.

    None where the estimate has no standard error. `low` and `high` are the 90% interval that the test of
    equivalence looks at.
    """

    not_worse: float | None
    same: float | None
    low: float | None = None
    high: float | None = None


def against_margin(estimate: Estimate, margin: float, *, higher_is_better: bool = True) -> MarginTests:
    """Non-inferiority (one-sided t test) and equivalence (two one-sided tests, Schuirmann 1987).

    `estimate` is a difference a - b, or the logarithm of a ratio; `margin` is positive, in its unit.
    A difference without any spread is what it is: p is 0 or 1.
    """
    if estimate.value is None:
        return MarginTests(None, None)
    value = estimate.value if higher_is_better else -estimate.value
    if estimate.identical:
        return MarginTests(0.0, 0.0, estimate.value, estimate.value)
    if estimate.error is None or estimate.freedom is None:
        return MarginTests(None, None)
    from scipy import stats

    error, freedom = estimate.error, estimate.freedom
    above = float(stats.t.sf((value + margin) / error, freedom))
    below = float(stats.t.sf((margin - value) / error, freedom))
    half = float(stats.t.ppf(1 - SAME, freedom)) * error
    return MarginTests(above, max(above, below), estimate.value - half, estimate.value + half)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values of a family (Holm 1979); None stays, and counts as a member.

    An adjusted p below the level rejects with the family's error rate held at that level.
    """
    order = sorted((i for i, p in enumerate(ps) if p is not None), key=lambda i: ps[i] or 0.0)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, i in enumerate(order):
        p = ps[i]
        assert p is not None
        largest = max(largest, min(1.0, (len(ps) - rank) * p))
        adjusted[i] = largest
    return adjusted
