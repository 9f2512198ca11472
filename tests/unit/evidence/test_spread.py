"""Where differences vary, and seeds that diverged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_view

from harness.evidence.diverged import diverged_seeds, has_diverged
from harness.evidence.findings import findings
from harness.evidence.sections import spread
from harness.evidence.statistics.components import components
from harness.evidence.view import ComparisonView


def test_components_are_those_that_the_values_were_made_of() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(60):
        seed, cluster = 0.5 * rng.standard_normal((6, 1)), 0.8 * rng.standard_normal(30)
        item, rest = 0.6 * rng.standard_normal(90), 0.3 * rng.standard_normal((6, 90))
        table = seed + np.repeat(cluster, 3) + item + rest
        by_seed = [{f"i{i}": float(v) for i, v in enumerate(row)} for row in table]
        one = components(by_seed, {f"i{i}": str(i // 3) for i in range(90)})
        assert one is not None
        found.append((one.seed, one.cluster, one.item, one.rest))
    squares = np.square(np.array(found, dtype=float)).mean(axis=0) ** 0.5
    assert squares == pytest.approx([0.5, 0.8, 0.6, 0.3], rel=0.1)


def test_one_seed_has_no_component_of_seeds_and_items_that_share_nothing_none_of_clusters() -> None:
    one = components([{"a": 1.0, "b": 3.0}], {})
    assert one is not None
    assert (one.seed, one.cluster, one.rest) == (None, None, None)
    assert one.item == pytest.approx(math.sqrt(2))
    assert components([{"a": 1.0}], {}) is None


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [
        ([2.0, 1.9, 2.1, 1.8, 1.7, 1.6, 1.7, 1.5], False),
        # Noise of small batches: the end lies above the start, within its range.
        ([1.7, 1.8, 2.2, 1.6, 2.5, 1.9, 2.0, 2.1, 1.9, 2.2, 1.9, 2.3], False),
        ([2.0, 1.9, 2.1, 4.0, 7.0, 8.0, 9.0, 8.5], True),
        # DPO begins at ln 2 and moves little at first; what small batches lose at the end is no divergence.
        ([0.693, 0.693, 0.694, 0.65, 0.81, 0.70, 0.62, 0.78, 0.74, 0.76, 0.73, 0.74], False),
        ([2.0, math.nan], True),
        ([1.0, 9.0], False),
        ([], False),
    ],
)
def test_the_rule_of_divergence(losses: list[float], diverged: bool) -> None:
    assert has_diverged(losses) is diverged


def _view(diverges: bool) -> ComparisonView:
    view = make_view()
    stage = view.cells_of("orpo")[1].stages[-1]
    losses = [2.0, 1.9, 2.1, 4.0, 7.0, 8.0, 9.0, 8.5] if diverges else [2.0] * 8
    series = {**view.series, stage: [{"step": n, "metrics": {"loss": v}} for n, v in enumerate(losses)]}
    return replace(view, series=series)


def test_differences_stand_with_and_without_a_seed_that_diverged() -> None:
    view = _view(True)
    seed = view.cells_of("orpo")[1].seed
    assert diverged_seeds(view, "orpo", "sft_dpo") == [seed]
    section = spread.section(findings(view))
    assert section is not None
    table = next(table for table in section.tables if table.name == "diverged")
    assert table.columns[-1] == f"without {seed}"
    every, without = table.rows[0][1], table.rows[0][2]
    assert (every.low, every.high) != (without.low, without.high)
    assert f"diverged at seed {seed}" in section.paragraphs[0]


def test_without_divergence_nothing_is_said_of_it() -> None:
    section = spread.section(findings(_view(False)))
    assert section is not None
    assert [table.name for table in section.tables] == ["components"]
    assert section.paragraphs == ()
