"""The grid of families: what the closed test says falsely, at every mixture of truths and margins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
from harness.evidence.statistics.margins import ONE_SIDED, SAME

MARGIN, QUESTIONS, SEEDS = 1.0, 3, 5
ERRORS = (0.1, 0.3, 0.5)
"""Standard error of an estimate, in margins."""
LARGE = 5


def family_cases(simulations: int) -> Iterator[Cell]:
    """Every mixture of three true differences, and five of one kind each."""
    mixtures = list(itertools.combinations_with_replacement((-MARGIN, 0.0, MARGIN), QUESTIONS))
    mixtures += [(truth,) * LARGE for truth in (-MARGIN, 0.0, MARGIN)]
    for truths in mixtures:
        for error in ERRORS:
            yield partial(_cases, truths, error, simulations)


def _cases(truths: Sequence[float], error: float, simulations: int) -> Iterator[Case]:
    wrong, wrong_margin = _false_statements(truths, error, simulations)
    told = ", ".join(f"{truth:+g}" for truth in truths)
    setting = f"true differences {told} margins, standard error {error:g} margins"
    most, most_margin = (with_noise(share, simulations) for share in (MOST_FALSE, MOST_FALSE_MARGIN))
    yield Case("registered family: any false statement", setting, None, wrong, most_rejected=most)
    yield Case(
        'registered family: a false "not worse"',
        setting,
        None,
        wrong_margin,
        most_rejected=most_margin,
    )


def _false_statements(truths: Sequence[float], error: float, simulations: int) -> tuple[float, float]:
    """Shares of families with any false statement, wrong directions included, and a false "not worse"."""
    from scipy import stats

    rng = np.random.default_rng([len(truths), round(100 * error), *(round(t + 2) for t in truths)])
    values = rng.normal(truths, error * np.sqrt(SEEDS), (simulations, SEEDS, len(truths)))
    means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(SEEDS)
    ps = [
        2 * stats.t.sf(np.abs(means / errors), SEEDS - 1),
        *(stats.t.sf((MARGIN + sign * means) / errors, SEEDS - 1) for sign in (1, -1)),
    ]
    wrong = np.zeros((simulations, 2), dtype=bool)
    for place in range(simulations):
        family = adjusted([Statements(*(float(p[place, i]) for p in ps)) for i in range(len(truths))])
        false = np.array([_is_false(*one) for one in zip(family, truths, means[place], strict=True)])
        wrong[place] = false.any(), false[:, 1].any()
    any_wrong, margin_wrong = wrong.mean(axis=0)
    return float(any_wrong), float(margin_wrong)


def _is_false(one: Statements, truth: float, mean: Array) -> tuple[bool, bool, bool]:
    """Whether a difference, "not worse" and "the same" are said of a truth that is otherwise."""
    assert one.difference is not None
    assert one.not_worse is not None
    assert one.not_better is not None
    same = max(2 * one.not_worse, one.not_better) < SAME
    return (
        bool(one.difference < LEVEL and np.sign(mean) != np.sign(truth)),
        bool(one.not_worse < ONE_SIDED and truth <= -MARGIN),
        bool(same and abs(truth) >= MARGIN),
    )
