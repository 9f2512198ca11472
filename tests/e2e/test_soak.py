"""A short soak: killed while it trains, scores and reports, the comparison ends as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.soak import PHASES, plan_trials, soak

SHORT = [phase for phase in PHASES if phase.name in ("mid-step", "scoring", "report")]


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_kills_leave_no_trace(tmp_path: Path) -> None:
    trials = soak(tmp_path / "runs", 3, 0, print, SHORT)
    assert [(trial.phase, trial.wrong) for trial in trials] == [(phase.name, ()) for phase in SHORT]


def test_every_phase_meets_every_victim_and_signal() -> None:
    import random

    trials = plan_trials(len(PHASES) * 12, random.Random(0))
    assert len({(victim, number) for _, victim, number in trials}) == 12
    for phase in PHASES:
        assert len({(v, n) for one, v, n in trials if one is phase}) == 12
