"""Planning: power, and the seeds that a spread of few seeds asks for; against simulations of known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from synthetic import make_view

from harness.commands.power import power_table
from harness.evidence.power import Spread, assurance, plan_power, power_within, seeds_needed
from harness.evidence.statistics.intervals import t_intervals
from harness.pipeline.questions_spec import QuestionSpec


def test_power_to_show_not_worse_is_what_simulation_finds() -> None:
    rng = np.random.default_rng(3)
    found = t_intervals(rng.normal(0, 1, (20_000, 5)))
    assert power_within(1.5, 1.0, 5) == pytest.approx(float((found.low > -1.5).mean()), abs=0.02)
    assert power_within(100.0, 1.0, 5) == 1


@pytest.mark.parametrize("seeds", [3, 5])
def test_planned_seeds_reach_their_power_in_four_plans_of_five(seeds: int) -> None:
    """Truth: a spread of 1. Each plan knows it from a few seeds alone."""
    margin, rng = 1.0, np.random.default_rng(7)
    spreads = rng.normal(0, 1, (300, seeds)).std(axis=1, ddof=1)
    plans = [seeds_needed(margin, Spread(float(sd), seeds - 1.0)) for sd in spreads]

    def reached(planned: list[int | None]) -> float:
        powers = [1.0 if n is None else power_within(margin, 1.0, n) for n in planned]
        return float(np.mean([power >= 0.8 for power in powers]))

    assert reached([plan.assured for plan in plans]) >= 0.77  # 80%, less 1.3 standard errors of 300 plans
    assert reached([plan.as_measured for plan in plans]) < 0.65


def test_the_fewest_seeds_are_the_fewest() -> None:
    needed = seeds_needed(1.0, Spread(1.0, 4.0)).as_measured
    assert needed is not None
    assert power_within(1.0, 1.0, needed - 1) < 0.8 <= power_within(1.0, 1.0, needed)
    assert seeds_needed(0.001, Spread(1.0, 4.0)).assured is None


def test_the_upper_limit_of_a_spread_holds_in_four_of_five() -> None:
    sds = np.random.default_rng(8).normal(0, 1, (20_000, 3)).std(axis=1, ddof=1)
    factor = Spread(1.0, 2.0).quantile(0.8)
    assert float((sds * factor > 1).mean()) == pytest.approx(0.8, abs=0.01)


def test_assurance_is_power_averaged_over_the_spread() -> None:
    spread = Spread(0.8, 2.0)
    chi2 = np.random.default_rng(9).chisquare(2.0, 400)
    drawn = [power_within(1.0, 0.8 * math.sqrt(2.0 / c), 8) for c in chi2]
    assert assurance(1.0, spread, 8) == pytest.approx(float(np.mean(drawn)), abs=0.06)
    assert assurance(1.0, spread, 8) < power_within(1.0, 0.8, 8)


def test_both_ends_of_a_plan_are_printed(capsys: Any) -> None:
    """Three earlier seeds: the uncertain end asks for more."""
    view = make_view(seeds=(0, 1, 2))
    for seed, shift in enumerate((0.0, 0.02, -0.03)):
        for arm, sign in (("orpo", 1), ("sft_dpo", -1)):
            items = {f"i{i}": 0.5 + sign * shift + i / 1000 for i in range(20)}
            view.items[f"{arm}@{seed}"]["preference.accuracy"] = items
    question = QuestionSpec(quantity="preference.accuracy", a="orpo", b="sft_dpo", margin=0.05)
    (one,) = plan_power([question], 5, view)
    assert one.spread is not None
    assert one.spread.sd == pytest.approx(np.std([0.0, 0.04, -0.06], ddof=1))
    assert one.effect is not None
    assert one.effect_assured == pytest.approx(one.effect * math.sqrt(2 / stats.chi2.ppf(0.2, 2)))
    assert one.seeds_needed is not None
    assert one.seeds_needed.as_measured is not None
    assert one.seeds_needed.assured is not None
    assert one.seeds_needed.as_measured < one.seeds_needed.assured
    assert one.not_worse is not None
    assert one.not_worse < power_within(0.05, one.spread.sd, 5)
    Console(width=200).print(power_table([one], 5))
    said = capsys.readouterr().out
    assert f"{one.seeds_needed.as_measured} to {one.seeds_needed.assured}" in said
