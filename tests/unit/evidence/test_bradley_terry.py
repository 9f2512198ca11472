"""Bradley-Terry over soft and hard judgments: the order of the means, evalica's strengths, known limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.evidence.statistics.bradley_terry import Judgment, outcomes_of, ranked
from harness.evidence.statistics.score_interval import chance_interval


def against(arm: str, won: list[float], rival: str = "sft") -> list[Judgment]:
    return [Judgment(arm, rival, value, f"p{i}") for i, value in enumerate(won)]


SOFT = [0.55] * 60 + [0.05] * 40
HARD = [1.0] * 45 + [0.0] * 55


def test_soft_and_hard_preferences_are_ranked_by_their_means() -> None:
    """0.55 on 60% of prompts and 0.05 on the rest is 35%, below an arm that wins 45% outright."""
    chances = ranked([*against("soft", SOFT), *against("hard", HARD)], "sft")
    assert list(chances) == ["sft", "hard", "soft"]
    assert chances["soft"].value == pytest.approx(0.35, abs=1e-9)
    assert chances["hard"].value == pytest.approx(0.45, abs=1e-9)
    hard, soft = chances["hard"], chances["soft"]
    assert hard.low is not None
    assert hard.high is not None
    assert soft.low is not None
    assert soft.high is not None
    assert soft.high - soft.low < hard.high - hard.low
    assert soft.high < 0.5 < hard.high


@pytest.mark.parametrize("won", [SOFT, HARD, [0.5, 1.0, 0.0, 0.5, 1.0], [0.985] * 20])
def test_two_arms_have_their_mean_preference_exactly(won: list[float]) -> None:
    chance = ranked(against("orpo", won), "sft")["orpo"]
    assert chance.value == pytest.approx(sum(won) / len(won), abs=1e-12)


def test_the_model_below_the_intervals_is_evalicas() -> None:
    rng = np.random.default_rng(0)
    judgments = [
        *against("a", list(rng.beta(2, 1, 200))),
        *against("b", list(rng.random(200))),
        *against("a", [float(v) for v in rng.random(200) < 0.4], "b"),
    ]
    ordered = sorted(judgments, key=lambda one: one.cluster)
    for arm, chance in ranked(judgments, "sft").items():
        if arm != "sft":
            assert chance.value == pytest.approx(
                chance_interval(outcomes_of(ordered, arm, "sft"))[0], abs=1e-6
            )


def test_an_arm_that_never_lost_has_the_limit_and_wilsons_lower_end() -> None:
    chances = ranked([*against("best", [1.0] * 24), *against("even", [1.0, 0.0] * 12)], "sft")
    assert next(iter(chances)) == "best"
    assert (chances["best"].value, chances["best"].high) == (1.0, 1.0)
    assert chances["best"].low == pytest.approx(24 / (24 + 1.96**2), abs=1e-4)
    never = ranked(against("worst", [0.0] * 24), "sft")["worst"]
    assert (never.value, never.low) == (0.0, 0.0)


def test_arms_that_nothing_links_to_the_anchor_have_no_chance() -> None:
    chances = ranked([*against("a", [1.0, 0.0]), *against("c", [1.0, 0.0], "d")], "sft")
    assert chances["c"].value is None
    assert chances["c"].low is None
    assert set(list(chances)[:2]) == {"a", "sft"}


def test_the_same_prompts_at_more_seeds_are_no_new_prompts() -> None:
    once = ranked(against("a", HARD), "sft")["a"]
    thrice = ranked(3 * against("a", HARD), "sft")["a"]
    assert once.low is not None
    assert thrice.low is not None
    assert thrice.low == pytest.approx(once.low, abs=0.003)


def test_ties_alone_rank_equal_without_an_interval() -> None:
    """Arms that two steps of training left alike answer alike: every judgment is a tie."""
    names = ("sft", "dpo", "orpo")
    judgments = [
        Judgment(a, b, 0.5, str(prompt)) for prompt in range(20) for a, b in itertools.combinations(names, 2)
    ]
    chances = ranked(judgments, "sft")
    assert {arm: chance.value for arm, chance in chances.items()} == pytest.approx(dict.fromkeys(names, 0.5))
    assert {(chance.low, chance.high) for chance in chances.values()} == {(None, None)}
