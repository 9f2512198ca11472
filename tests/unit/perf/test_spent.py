"""Where a comparison's seconds went, from a made record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from synthetic import ENVIRONMENT, PREPARED

from harness.records import (
    CheckFacts,
    ComparisonRecord,
    EvaluateFacts,
    JudgeFacts,
    Measurement,
    RehearseFacts,
    StageResult,
    TrainFacts,
)
from perf.losses import by_step, last_difference
from perf.spent import length, means, spent, training_seconds

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stage(kind: Any, seconds: float, facts: Any, **phases: float) -> StageResult:
    ledger = [
        Measurement(quantity=f"{name}_seconds", value=value, unit="s", scope="stage", source="clock")
        for name, value in phases.items()
    ]
    return StageResult(
        digest=kind,
        kind=kind,
        name=kind,
        seed=0,
        started_at=NOON.isoformat(),
        finished_at=(NOON + timedelta(seconds=seconds)).isoformat(),
        environment=ENVIRONMENT,
        ledger=ledger,
        facts=facts,
    )


STAGES = (
    stage("prepare", 2.0, PREPARED, start_up=1.0, data=2.0),
    stage("check", 1.0, CheckFacts(), start_up=1.0),
    stage("rehearse", 10.0, RehearseFacts(), start_up=4.0, train=5.0, counting=3.0),
    stage("train", 20.0, TrainFacts(), start_up=4.0, train=12.0, counting=4.0, evaluation=2.0, audit=1.0),
    stage("evaluate", 6.0, EvaluateFacts(), start_up=3.0, generation=2.0, scoring=3.0),
    stage("judge", 1.5, JudgeFacts(), start_up=1.0),
)


def test_kinds_add_up_to_the_wall_and_count_nothing_twice() -> None:
    record = ComparisonRecord.model_construct(results={one.digest: one for one in STAGES})
    found = spent(record, 70.0, 5.0)
    assert sum(found.values()) == pytest.approx(70.0)
    assert found == pytest.approx(
        {
            "start-up of stages": 14.0,
            "counting": 7.0,
            "preparing data": 2.0,
            "checks": 1.0,
            "rehearsal": 7.0,
            "probes and checkpoints": 3.0,
            "generation": 2.0,
            "scoring": 3.0,
            "training": 13.0,
            "loading and keeping in scoring": 1.0,
            "judging": 1.5,
            "report": 5.0,
            "everything else of the parent": 10.5,
        }
    )


def test_a_reference_pass_before_training_is_charged_to_it() -> None:
    assert length(STAGES[3]) == 20.0
    assert training_seconds(STAGES[3]) == 12.0
    assert training_seconds(stage("train", 9.0, TrainFacts(), reference=2.0, train=5.0)) == 7.0


def test_a_mean_counts_a_kind_that_is_missing_as_none() -> None:
    assert means([{"a": 2.0}, {"a": 4.0, "b": 1.0}]) == {"a": 3.0, "b": 0.5}


def test_losses_are_compared_over_the_steps_that_were_logged_together(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    file.write_text(
        '{"step": 0, "metrics": {"probe_margin": 1.0}}\n{"step": 1, "metrics": {"loss": 9.0}}\n'
        '{"step": 2, "metrics": {"loss": 3.0}}\n{"step": 3, "metrics": {"loss": 1.0}}\n'
    )
    ours = by_step(file)
    assert ours == [(1, 1, 9.0), (2, 2, 3.0), (3, 3, 1.0)]
    assert last_difference(ours, [(1, 1, 9.0), (2, 3, 1.6)]) == pytest.approx(0.25)
