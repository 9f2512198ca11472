"""What the duel with stock TRL concludes, from made seconds."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from perf.training import ratio, report


def test_the_ratio_is_the_geometric_mean_with_a_t_interval_on_logs() -> None:
    """By hand: logs ln 2 and ln 8, mean ln 4, standard error ln 2, t(0.975, 1) = 12.706."""
    one = ratio([2.0, 8.0], [1.0, 1.0])
    assert one.mean == pytest.approx(4)
    assert one.high == pytest.approx(4 * math.exp(12.7062 * math.log(2)), rel=1e-4)
    assert one.low == pytest.approx(4 * math.exp(-12.7062 * math.log(2)), rel=1e-4)


@pytest.mark.parametrize(
    ("ours", "verdict", "code"),
    [
        ([1.2, 1.21, 1.19], "slower than stock", 1),
        ([0.9, 0.91, 0.89], "at most as long", 0),
        ([0.9, 1.0, 1.1], "not separable", 0),
        ([1.4], "one repeat, no interval", 0),
    ],
)
def test_slower_training_fails_and_slower_saving_does_not(
    ours: list[float], verdict: str, code: int, capsys: Any
) -> None:
    def made(train: list[float], wall: list[float]) -> Any:
        stock = {"train_seconds": 1.0, "wall_seconds": 1.0}
        return [({"train_seconds": t, "wall_seconds": w}, stock) for t, w in zip(train, wall, strict=True)]

    even = [0.5 + 0.01 * i for i in range(len(ours))]
    assert report({"orpo": made(ours, even)}) == code
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert rows[0]["verdict"] == verdict
    assert report({"orpo": made(even, ours)}) == 0
