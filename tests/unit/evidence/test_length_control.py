"""Length-controlled win rates on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.statistics.length_control import length_controlled


def drawn(
    level: float, slope: float, shift: float, n: int = 4000
) -> tuple[dict[str, float], dict[str, float]]:
    rng = np.random.default_rng(1)
    lengths = rng.normal(shift, 300.0, n)
    chance = 1 / (1 + np.exp(-(level + slope * np.tanh(lengths / lengths.std()))))
    won = (rng.random(n) < chance).astype(float)
    return (
        {str(i): float(w) for i, w in enumerate(won)},
        {str(i): float(x) for i, x in enumerate(lengths)},
    )


def test_the_rate_at_equal_length_is_found_where_longer_answers_win() -> None:
    wins, lengths = drawn(level=-0.4, slope=2.0, shift=300.0)
    found = length_controlled(wins, lengths)
    truth = 1 / (1 + np.exp(0.4))
    raw = sum(wins.values()) / len(wins)
    assert raw > 0.6
    assert found.value == pytest.approx(truth, abs=0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.low < truth < found.high


def test_without_an_effect_of_length_it_is_the_raw_rate() -> None:
    wins, _ = drawn(level=0.5, slope=0.0, shift=0.0)
    found = length_controlled(wins, dict.fromkeys(wins, 7.0))
    assert found.value == pytest.approx(sum(wins.values()) / len(wins), abs=1e-4)


def test_it_repeats_and_is_finite_at_the_edges() -> None:
    wins, lengths = drawn(0.2, 1.0, 50.0, n=300)
    assert length_controlled(wins, lengths) == length_controlled(wins, lengths)
    everything = length_controlled(dict.fromkeys(wins, 1.0), lengths)
    assert everything.value == pytest.approx(1.0, abs=1e-3)
    decided = length_controlled({i: float(x > 0) for i, x in lengths.items()}, lengths)
    assert decided.value is not None
    assert 0 < decided.value < 1
    assert length_controlled({"a": 1.0}, {"a": 3.0}).reason == "fewer than 10 items"
