"""Which points a sweep has, and what cannot be swept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.pipeline.sweep import in_words, points

PHASE = find_comparison("phase", model=None)


def swept(value: str) -> Overrides:
    return Overrides(sets=(f"sweep={value}",))


def test_the_last_field_varies_fastest() -> None:
    found = points({"data.limit": [1, 2], "model": ["a", "b"]})
    assert [in_words(point) for point in found] == [
        "data.limit 1, model a",
        "data.limit 1, model b",
        "data.limit 2, model a",
        "data.limit 2, model b",
    ]
    assert points({}) == []


def test_a_point_is_the_comparison_with_its_settings() -> None:
    point = {"data.limit": 128, "data.label_noise": 0.25}
    spec = load_comparison(PHASE, Overrides(point=point))
    assert (spec.data.limit, spec.data.label_noise, spec.sweep) == (128, 0.25, {})
    by_hand = load_comparison(PHASE, Overrides(sets=("sweep={}", "data.limit=128", "data.label_noise=0.25")))
    resolved = Resolved()
    assert plan_comparison(spec, resolved).id == plan_comparison(by_hand, resolved).id


def test_points_differ_in_their_stages() -> None:
    spec, resolved = load_comparison(PHASE), Resolved()
    plans = [
        plan_comparison(load_comparison(PHASE, replace(Overrides(), point=point)), resolved)
        for point in points(spec.sweep)
    ]
    assert len({plan.id for plan in plans}) == len({plan.prepare for plan in plans}) == 9


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{seeds: [1, 2]}", "seeds cannot be swept"),
        ("{data.limit: []}", "data.limit has no values"),
        ("{data.limit: [5, 5]}", "data.limit has 5 twice"),
        ("{data.limit: [5], model: [a], repeats: [1]}", "give at most 2"),
        ("{data.limit: [0, 5]}", "data.limit is 0"),
        ("{data.limt: [5]}", "limt"),
        ("{stages.orpo.lambda: [0.1, -1]}", "stages.orpo.lambda is -1"),
        ("{nothing: [1]}", "nothing"),
    ],
)
def test_mistakes_are_told_before_anything_runs(value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_comparison(PHASE, swept(value))


def test_too_many_points() -> None:
    with pytest.raises(UserError, match="give at most 400"):
        load_comparison(PHASE, swept(f"{{data.limit: {list(range(1, 402))}}}"))


def test_what_needs_one_comparison_says_how_to_take_a_point(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        plan_comparison(load_comparison(PHASE), Resolved())
    assert "a sweep of 9 points" in str(caught.value)
    assert "--set sweep={} --set data.limit=128 --set data.label_noise=0.0" in str(caught.value)
