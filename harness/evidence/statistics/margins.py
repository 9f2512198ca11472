"""Not worse, and the same: tests against a margin that was written down before the run."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.statistics.estimate import Estimate

ONE_SIDED = 0.025
SAME = 0.05


@dataclass(frozen=True)
class MarginTests:
    """One-sided p of being worse by the margin or more, of being better by it or more, and of either.

    None where the estimate has no standard error. `low` and `high` are the 90% interval that the test of
    equivalence looks at.
    """

    not_worse: float | None
    not_better: float | None
    low: float | None = None
    high: float | None = None

    @property
    def same(self) -> float | None:
        """p of two one-sided tests (Schuirmann 1987): the larger of the two."""
        if self.not_worse is None or self.not_better is None:
            return None
        return max(self.not_worse, self.not_better)


def against_margin(estimate: Estimate, margin: float, *, higher_is_better: bool = True) -> MarginTests:
    """Non-inferiority (one-sided t test) and its mirror image, which together are equivalence.

    `estimate` is a difference a - b, or the logarithm of a ratio; `margin` is positive, in its unit.
    A difference without any spread is what it is: p is 0 or 1.
    """
    middle = estimate.middle
    if middle is None:
        return MarginTests(None, None)
    value = middle if higher_is_better else -middle
    if estimate.identical:
        return MarginTests(0.0, 0.0, estimate.value, estimate.value)
    if estimate.error is None or estimate.freedom is None:
        return MarginTests(None, None)
    from scipy import stats

    error, freedom = estimate.error, estimate.freedom
    above = float(stats.t.sf((value + margin) / error, freedom))
    below = float(stats.t.sf((margin - value) / error, freedom))
    half = float(stats.t.ppf(1 - SAME, freedom)) * error
    return MarginTests(above, below, middle - half, middle + half)
