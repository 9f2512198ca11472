"""An estimate in words: better, worse, identical, or not separable."""

from __future__ import annotations

from harness.evidence.statistics.estimate import Estimate


def verdict(estimate: Estimate, *, neutral: float = 0.0, words: tuple[str, str] = ("better", "worse")) -> str:
    """What the estimate of a against b allows to say.

    `neutral` is the value of no difference, `words` what a lies above it and below it.
    """
    if estimate.value is None:
        return f"not measured: {estimate.reason}"
    if estimate.identical:
        return "identical"
    separable = is_separable(estimate, neutral=neutral)
    if separable is None:
        return f"not separable at n = {estimate.n}: {estimate.reason}"
    if not separable:
        smallest = "" if estimate.detectable is None else f", smallest detectable {estimate.detectable:.3g}"
        return f"not separable at n = {estimate.n}{smallest}"
    return words[0] if estimate.value > neutral else words[1]


def is_separable(estimate: Estimate, *, neutral: float = 0.0) -> bool | None:
    """Whether the 95% interval (or McNemar's test) excludes `neutral`; None if neither exists."""
    if estimate.low is not None and estimate.high is not None:
        return not estimate.low <= neutral <= estimate.high
    if estimate.p is not None:
        return estimate.p < 0.05
    return None
