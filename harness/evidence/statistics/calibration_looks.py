"""The grid of looks: what a family says falsely at any look, at every kind of truth, and when it stops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.evidence.statistics.calibration_cases import (
    MOST_FALSE,
    MOST_FALSE_MARGIN,
    Case,
    Cell,
    with_noise,
)
from harness.evidence.statistics.family import Statements, adjusted
from harness.evidence.statistics.intervals import LEVEL, Array
from harness.evidence.statistics.looks import at_look, weights
from harness.evidence.statistics.margins import ONE_SIDED, SAME

LOOKS = (3, 5, 10)
MARGIN = 1.0
ERRORS = (0.1, 0.3, 0.5)
"""Standard error of an estimate at the last look, in margins."""
TRUTHS = (
    *((0.0,) * 3, (-MARGIN,) * 3, (MARGIN,) * 3, (-MARGIN, 0.0, MARGIN), (-MARGIN, -MARGIN, 0.0)),
    *((0.0,) * 5, (-MARGIN,) * 5, (0.0,), (-MARGIN,)),
)


@dataclass(frozen=True)
class Sequences:
    """Shares of simulated sequences of looks with a false statement at any look, and the mean of seeds used.

    `wrong` counts every false statement, wrong directions included; `wrong_margin` a false "not worse".
    """

    wrong: float
    wrong_margin: float
    seeds: float


def looks_cases(simulations: int) -> Iterator[Cell]:
    """Families of one, three and five questions that stop at the look at which all are decided."""
    for truths in TRUTHS:
        for error in ERRORS:
            yield partial(_cases, truths, error, simulations)


def _cases(truths: Sequence[float], error: float, simulations: int) -> Iterator[Case]:
    result = simulate(truths, error, simulations)
    told = ", ".join(f"{truth:+g}" for truth in truths)
    setting = (
        f"looks at {', '.join(map(str, LOOKS))} seeds, true differences {told} margins, standard "
        f"error at the last {error:g} margins"
    )
    most, most_margin = (with_noise(share, simulations) for share in (MOST_FALSE, MOST_FALSE_MARGIN))
    yield Case("looks: any false statement", setting, None, result.wrong, most_rejected=most)
    yield Case('looks: a false "not worse"', setting, None, result.wrong_margin, most_rejected=most_margin)


def simulate(
    truths: Sequence[float], error: float, simulations: int, shares: Sequence[float] = weights(len(LOOKS))
) -> Sequences:
    """Sequences of looks at normal seed-level differences; `shares` are what each look gets of the error."""
    last = LOOKS[-1]
    rng = np.random.default_rng([len(truths), round(100 * error), *(round(t + 10) for t in truths)])
    values = rng.normal(truths, error * np.sqrt(last), (simulations, last, len(truths)))
    running = np.ones(simulations, dtype=bool)
    wrong = np.zeros((simulations, 2), dtype=bool)
    seeds = np.zeros(simulations)
    for look, share in zip(LOOKS, shares, strict=True):
        means, ps = _tests(values[:, :look])
        seeds[running] = look
        for place in np.flatnonzero(running):
            family = [at_look(Statements(*map(float, column)), share) for column in ps[:, place].T]
            decided, any_wrong, margin_wrong = _judged(adjusted(family), truths, means[place])
            wrong[place] |= any_wrong, margin_wrong
            running[place] = not decided
    any_wrong, margin_wrong = wrong.mean(axis=0)
    return Sequences(float(any_wrong), float(margin_wrong), float(seeds.mean()))


def _tests(values: Array) -> tuple[Array, Array]:
    """Means (simulations, questions), and p of no difference, not worse and not better, stacked before."""
    from scipy import stats

    seeds = values.shape[1]
    means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(seeds)
    difference = 2 * stats.t.sf(np.abs(means / errors), seeds - 1)
    margins = [stats.t.sf((MARGIN + sign * means) / errors, seeds - 1) for sign in (1, -1)]
    return means, np.stack([difference, *margins])


def _judged(family: Sequence[Statements], truths: Sequence[float], means: Array) -> tuple[bool, bool, bool]:
    """Whether every question is decided, and whether anything, and a "not worse", is said falsely."""
    decided, wrong, wrong_margin = True, False, False
    for one, truth, mean in zip(family, truths, means, strict=True):
        assert one.difference is not None
        assert one.not_worse is not None
        assert one.not_better is not None
        differs, not_worse = one.difference < LEVEL, one.not_worse < ONE_SIDED
        same = max(2 * one.not_worse, one.not_better) < SAME
        false_margin = not_worse and truth <= -MARGIN
        decided = decided and (differs or not_worse)
        wrong_margin = wrong_margin or false_margin
        wrong = wrong or false_margin or (differs and bool(np.sign(mean) != np.sign(truth)))
        wrong = wrong or (same and abs(truth) >= MARGIN)
    return decided, wrong, wrong_margin
