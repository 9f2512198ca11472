"""Figures show the intervals that tables have, and where stages end."""

from __future__ import annotations

import pytest
from synthetic import make_view

from harness.evidence.sections.dynamics import probe_series
from harness.evidence.series import banded, cloud
from harness.evidence.statistics.estimate import ITEMS_TARGET, mean_interval
from harness.quantities import LOGP_CHOSEN
from harness.render._svg import svg
from harness.tables import Figure, Panel


def test_a_band_is_the_interval_over_seeds_and_not_their_range() -> None:
    line = banded("orpo", [0.0, 1.0], [[0.1, 0.2, 0.4], [0.5]])
    known = mean_interval([0.1, 0.2, 0.4], ITEMS_TARGET)
    assert (line.low[0], line.high[0]) == (known.low, known.high)
    assert line.low[0] < 0.1
    assert line.high[0] > 0.4
    assert (line.y[1], line.low[1], line.high[1]) == (0.5, 0.5, 0.5)


def test_a_cloud_has_its_mean_with_an_interval_from_two_seeds_on() -> None:
    centre = cloud("orpo", [1.0, 3.0], [0.4, 0.6]).centre
    known = mean_interval([0.4, 0.6], ITEMS_TARGET)
    assert centre == (2.0, pytest.approx(0.5), known.low, known.high)
    assert cloud("orpo", [1.0], [0.4]).centre is None


def test_the_end_of_a_stage_is_marked_and_drawn() -> None:
    view = make_view()
    lines = [probe_series(view, arm, LOGP_CHOSEN) for arm in ("orpo", "sft_dpo")]
    known = [line for line in lines if line is not None]
    assert [len(line.breaks) for line in known] == [0, 1]
    assert 0 < known[1].breaks[0] < known[1].x[-1]
    drawn = svg(Figure("f", "F", (Panel("p", "x", "y", tuple(known)),)))
    assert drawn.count('stroke-dasharray="2 4"') == 1
