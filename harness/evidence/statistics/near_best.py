"""How many trials come near the best one: a search that hardly misses has little to tune."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.evidence.statistics.estimate import Estimate

NORMAL = 1.959963984540054
TRIALS_TARGET = "draws of the same space that do no better than the best one found"
BOTH_TARGET = "draws of the two spaces"


def near_best(scores: Sequence[float], within: float) -> Estimate:
    """The share of the other trials whose score is at most `within` below the best, higher being better.

    The best trial is near itself and left out: given its score the others are independent draws of what
    lies below it, so that Wilson's (1927) interval holds for n - 1 of them.
    """
    n = len(scores) - 1
    if n < 1:
        return Estimate.absent(
            f"{n + 1} trial{'s' * (n < 0)}, and it needs 2", n=max(n, 0), target=TRIALS_TARGET
        )
    best = max(scores)
    near = sum(score >= best - within - 1e-9 for score in scores) - 1
    low, high = _wilson(near, n)
    return Estimate(near / n, low, high, n, None, TRIALS_TARGET)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Share a - share b with the p of Boschloo's (1970) exact test of equal shares, which needs no pairs.

    Where two searches draw the same numbers they go together if anything, and the test errs to the safe side.
    """
    if a.value is None or b.value is None:
        return Estimate.absent(a.reason or b.reason or "", n=min(a.n, b.n), target=BOTH_TARGET)
    from scipy import stats

    near = [round(one.value * one.n) for one in (a, b) if one.value is not None]
    table = [near, [a.n - near[0], b.n - near[1]]]
    p = 1.0 if sum(near) in (0, a.n + b.n) else float(stats.boschloo_exact(table).pvalue)
    return Estimate(a.value - b.value, None, None, min(a.n, b.n), min(p, 1.0), BOTH_TARGET)


def _wilson(count: int, n: int) -> tuple[float, float]:
    share, square = count / n, NORMAL**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(middle - half, 0.0), min(middle + half, 1.0)
