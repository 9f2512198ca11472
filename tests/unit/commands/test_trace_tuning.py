"""A trial's figures are traced to its stages, which lie beside the run and are no part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import trained
from synthetic_tuning import tuned_view

from harness.commands import trace
from harness.records import StageResult
from harness.store.run_dir import RunRoot


class Root(RunRoot):
    """Holds one stage of one trial."""

    def finished(self, digest: str) -> StageResult | None:
        return trained(digest, "orpo/orpo@7", 7, "orpo") if digest == "t3-orpo-orpo" else None


def test_a_trial_is_traced_to_its_stages_also_where_they_are_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(trace, "open_run", lambda name, out: (Root(tmp_path), tuned_view()))
    assert trace.run("latest", "tuning_trials orpo 3 preference.accuracy", out=tmp_path) == 0
    found, run, trained_by, scored_by = capsys.readouterr().out.strip().splitlines()
    assert found.startswith("tuning_trials, orpo 3 ")
    assert found.endswith("preference.accuracy: 76.0%")
    assert run == "  run made-0123456789: harness compare"
    assert trained_by.startswith("  stage orpo/orpo@7 (t3-orpo-orpo), seed 7, finished 2026-01-01T00:01:00Z")
    assert trained_by.endswith("; trial 3 of orpo")
    assert scored_by == "  stage t3-orpo-score: trial 3 of orpo, whose files are gone"
