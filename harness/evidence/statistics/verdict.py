"""An estimate in words: better, worse, identical, or not separable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.statistics.estimate import Estimate
from harness.evidence.statistics.intervals import LEVEL


class Outcome(StrEnum):
    """What a comparison of two arms allows to say of the first one."""

    BETTER = "better"
    WORSE = "worse"
    HIGHER = "higher"
    LOWER = "lower"
    LESS = "less"
    MORE = "more"
    EQUAL = "equal"
    IDENTICAL = "identical"
    NOT_WORSE = "not worse"
    NOT_SEPARABLE = "not separable"
    NOT_MEASURED = "not measured"
    NOT_JUDGED = "not judged"


OPPOSITE = {
    Outcome.BETTER: Outcome.WORSE,
    Outcome.WORSE: Outcome.BETTER,
    Outcome.HIGHER: Outcome.LOWER,
    Outcome.LOWER: Outcome.HIGHER,
    Outcome.LESS: Outcome.MORE,
    Outcome.MORE: Outcome.LESS,
}


@dataclass(frozen=True)
class Verdict:
    """An outcome, and the words that it is told in."""

    outcome: Outcome
    text: str

    @classmethod
    def plain(cls, outcome: Outcome) -> Verdict:
        """The outcome told by its name alone."""
        return cls(outcome, outcome.value)


def verdict(
    estimate: Estimate,
    *,
    neutral: float = 0.0,
    above: Outcome = Outcome.BETTER,
    below: Outcome = Outcome.WORSE,
    smallest: str | None = None,
) -> Verdict:
    """What the estimate of a against b allows to say of a.

    `neutral` is the value of no difference; `above` and `below` are what a is on either side of it;
    `smallest` says the smallest detectable difference in words.
    """
    if estimate.value is None:
        return Verdict(Outcome.NOT_MEASURED, f"not measured: {estimate.reason}")
    if estimate.identical:
        return Verdict.plain(Outcome.IDENTICAL)
    separable = is_separable(estimate, neutral=neutral)
    if separable:
        return Verdict.plain(above if estimate.value > neutral else below)
    text = f"not separable at n = {estimate.n}"
    if separable is None:
        text += f": {estimate.reason}"
    elif smallest is not None:
        text += f", {smallest}"
    return Verdict(Outcome.NOT_SEPARABLE, text)


def is_separable(estimate: Estimate, *, neutral: float = 0.0) -> bool | None:
    """Whether the 95% interval excludes `neutral`; None where there is none."""
    if estimate.low is not None and estimate.high is not None:
        return not estimate.low <= neutral <= estimate.high
    if estimate.p is not None:
        return estimate.p < LEVEL
    return None
