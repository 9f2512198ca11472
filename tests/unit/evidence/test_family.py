"""The closed test over registered questions: what it says falsely, at every mixture of truths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from harness.evidence.statistics.family import Statements, adjusted

SIMULATIONS, MARGIN = 4_000, 1.0


def test_without_margins_it_is_holms() -> None:
    """The example of Holm's procedure: ordered p times what is left, never falling."""
    family = adjusted([Statements(p) for p in (0.01, 0.04, 0.03, 0.005)])
    assert [one.difference for one in family] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjusted([]) == []


def test_a_question_that_cannot_be_tested_counts_as_a_member() -> None:
    family = adjusted([Statements(0.01), Statements(None), Statements(0.02)])
    assert [one.difference for one in family] == [pytest.approx(0.03), None, pytest.approx(0.04)]


def test_the_shortcut_is_the_closed_test() -> None:
    """Every intersection of states over questions, written out."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        family = [Statements(*rng.uniform(0, 0.2, 3)) for _ in range(3)]
        result = adjusted(family)
        for place, one in enumerate(family):
            for state, p in enumerate(one.states):
                assert p is not None
                others = [q.states for i, q in enumerate(family) if i != place]
                worst = max(
                    (1 + sum(o is not None for o in chosen)) * min([p, *(o for o in chosen if o is not None)])
                    for chosen in itertools.product(*[(None, *states) for states in others])
                )
                assert result[place].states[state] == pytest.approx(min(1.0, worst))


def _false_statements(truths: tuple[float, ...], error: float, seeds: int) -> tuple[float, float]:
    """Shares of simulated families with any false statement, and with a false "not worse"."""
    rng = np.random.default_rng([len(truths), seeds, round(100 * error)])
    truth = np.array(truths)
    noise = rng.normal(truth, error * np.sqrt(seeds), (SIMULATIONS, seeds, len(truths)))
    means, errors = noise.mean(axis=1), noise.std(axis=1, ddof=1) / np.sqrt(seeds)
    difference = 2 * stats.t.sf(np.abs(means / errors), seeds - 1)
    worse, better = (stats.t.sf((MARGIN + sign * means) / errors, seeds - 1) for sign in (1, -1))
    wrong = wrong_margin = 0
    for p, q, r, mean in zip(difference, worse, better, means, strict=True):
        family = adjusted([Statements(*row) for row in zip(p, q, r, strict=True)])
        said = [
            (
                bool(s.difference < 0.05 and (t == 0 or np.sign(m) != np.sign(t))),  # type: ignore[operator]
                bool(s.not_worse < 0.025 and t <= -MARGIN),  # type: ignore[operator]
                bool(max(2 * s.not_worse, s.not_better) < 0.05 and abs(t) >= MARGIN),  # type: ignore[operator,type-var]
            )
            for s, t, m in zip(family, truths, mean, strict=True)
        ]
        wrong += any(any(one) for one in said)
        wrong_margin += any(one[1] for one in said)
    return wrong / SIMULATIONS, wrong_margin / SIMULATIONS


@pytest.mark.parametrize("error", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("truths", list(itertools.combinations_with_replacement((-1.0, 0.0, 1.0), 3)))
def test_no_mixture_of_truths_is_told_falsely_too_often(truths: tuple[float, ...], error: float) -> None:
    """5% plus three standard errors of this many simulations."""
    wrong, wrong_margin = _false_statements(truths, error, seeds=5)
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert wrong_margin <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / SIMULATIONS)
