"""Length-controlled win rates on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.evidence.statistics.length_control import length_controlled, length_design, support
from harness.evidence.statistics.score_interval import chance_of, fit

Values = dict[str, float]


def by_item(values: object) -> Values:
    return {str(i): float(v) for i, v in enumerate(np.asarray(values))}


def drawn(level: float, slope: float, shift: float, n: int = 4000) -> tuple[Values, Values]:
    rng = np.random.default_rng(1)
    lengths = rng.normal(shift, 300.0, n)
    chance = 1 / (1 + np.exp(-(level + slope * np.tanh(lengths / lengths.std()))))
    return by_item(rng.random(n) < chance), by_item(lengths)


def test_the_rate_at_equal_length_is_found_where_longer_answers_win() -> None:
    wins, lengths = drawn(level=-0.4, slope=2.0, shift=300.0)
    estimate = length_controlled(wins, lengths)
    truth = 1 / (1 + np.exp(0.4))
    raw = sum(wins.values()) / len(wins)
    assert raw > 0.6
    assert estimate.value == pytest.approx(truth, abs=0.03)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < truth < estimate.high


def test_without_any_difference_it_is_the_raw_rate_with_wilsons_interval() -> None:
    wins = by_item([1.0] * 60 + [0.0] * 20)
    estimate = length_controlled(wins, dict.fromkeys(wins, 0.0))
    assert estimate.value == pytest.approx(0.75, abs=1e-6)
    assert (estimate.low, estimate.high) == pytest.approx((0.645153, 0.831938), abs=1e-5)


def test_it_repeats_and_is_finite_at_the_edges() -> None:
    wins, lengths = drawn(0.2, 1.0, 50.0, n=300)
    assert length_controlled(wins, lengths) == length_controlled(wins, lengths)
    everything = length_controlled(dict.fromkeys(wins, 1.0), lengths)
    assert (everything.value, everything.high) == (1.0, 1.0)
    assert everything.low == pytest.approx(0.98, abs=0.01)
    decided = length_controlled(by_item([x > 0 for x in lengths.values()]), lengths)
    assert decided.low is not None
    assert decided.high is not None
    assert decided.high - decided.low > 0.5, "where length decides all, nothing is known of equal length"
    assert length_controlled({"a": 1.0}, {"a": 3.0}).reason == "fewer than 20 items"


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([7.0] * 100, "only 0.0% of 100 answers are no longer than the rival's"),
        ([500.0] * 98 + [-3.0] * 2, "only 2.0% of 100 answers are no longer"),
        ([-500.0] * 98 + [3.0] * 2, "only 2.0% of 100 answers are no shorter"),
        ([1000.0] * 80 + [-900.0] * 20, "only 0.0% of 100 answers are about as long"),
    ],
)
def test_no_rate_is_read_where_nothing_lies_at_equal_length(lengths: list[float], reason: str) -> None:
    wins = by_item([i % 5 > 0 for i in range(len(lengths))])
    estimate = length_controlled(wins, by_item(lengths))
    assert estimate.value is None
    assert estimate.low is None
    assert str(estimate.reason).startswith(reason)


def test_answers_of_equal_length_are_support_by_themselves() -> None:
    lengths = by_item([0.0] * 60 + [40.0] * 40)
    assert support(lengths).lacking is None
    assert support(lengths).longer == pytest.approx(0.4)


def test_where_it_is_refused_the_curves_shape_would_decide() -> None:
    """Length is worth one log-odds a sd by a straight line, not by tanh, and equal lengths are at 50%."""
    rng = np.random.default_rng(2)
    errors = {}
    for shift in (1.28, 2.33):
        longer = rng.normal(shift, 1.0, 50_000)
        chances = 1 / (1 + np.exp(-longer))
        refused = length_controlled(by_item(chances), by_item(longer), interval=False).value is None
        log_odds = fit(chances[None], length_design(longer[None]))[0, 0]
        errors[refused] = abs(chance_of(log_odds) - 0.5)
    assert errors[False] < 0.02
    assert errors[True] > 0.1


def test_items_of_one_prompt_are_not_independent() -> None:
    wins, lengths = drawn(0.5, 1.0, 0.0, n=100)
    twice = {f"{i}-{k}": w for i, w in wins.items() for k in "ab"}
    longer = {f"{i}-{k}": x for i, x in lengths.items() for k in "ab"}
    once = length_controlled(wins, lengths)
    shared = length_controlled(twice, longer, clusters={item: item[:-2] for item in twice})
    assert (shared.low, shared.high) == pytest.approx((once.low, once.high), abs=0.005)
    apart = length_controlled(twice, longer)
    assert apart.low is not None
    assert shared.low is not None
    assert apart.low > shared.low + 0.01
