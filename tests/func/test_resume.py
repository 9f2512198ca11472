"""A training stage that is killed goes on from its checkpoint: with real processes and signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from func.test_orphans import stages_in

from harness.errors import StageFailed
from harness.records import StageRequest, StageResult
from harness.stages import runner
from harness.store.run_dir import RunRoot

DATA = {"max_length": 64, "limit": 256, "test_limit": 5}
TRAINING = {"learning_rate": 0.005, "batch_size": 8, "micro_batch_size": 8, "precision": "float32"}
STEPS, KILLED_AT = 32, 20
EVERY = 0.2
"""Seconds between checkpoints, of a training of some seconds."""


def run(root: RunRoot, digest: str, kind: Any, listen: Callable[[dict[str, Any]], None], **asked: Any) -> Any:
    request = StageRequest(
        digest=digest, kind=kind, name=digest, seed=0, attempt=os.urandom(4).hex(), **asked
    )
    folder = root.start_stage(request, owner="run")
    return runner.run_stage(folder, name=digest, listen=listen)


def silent(message: dict[str, Any]) -> None:
    """Nobody listens."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, number: int) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    run(root, "prepared", "prepare", silent, config={"model": "embedded", "data": DATA})
    asked = {
        "config": {"method": "orpo", "config": {**TRAINING, "lambda": 0.25}},
        "inputs": {"prepared": str(root.stage_folder("prepared").resolve())},
    }
    whole: StageResult = run(root, "whole", "train", silent, **asked)
    said: list[str] = []

    def kill(message: dict[str, Any]) -> None:
        if message.get("step") == KILLED_AT:
            (child,) = stages_in(root.stage_folder("broken"))
            os.kill(child, number)

    def hear(message: dict[str, Any]) -> None:
        said.extend([message["say"]] if "say" in message else [])

    with pytest.raises(StageFailed):
        run(root, "broken", "train", kill, **asked, checkpoint_seconds=EVERY)
    broken: StageResult = run(root, "broken", "train", hear, **asked, checkpoint_seconds=EVERY)
    (went_on,) = [text for text in said if text.startswith("goes on from step ")]
    assert 0 < int(went_on.rpartition(" ")[2]) <= KILLED_AT
    assert _digests(broken) == _digests(whole)
    figures = {m.quantity: m.value for m in broken.ledger}
    assert figures["steps"] == STEPS
    assert figures["interruptions"] == 1
    lost = figures["lost_seconds"]
    assert lost is not None
    assert lost > 0
    assert {m.quantity for m in broken.ledger} - {m.quantity for m in whole.ledger} == {
        *("interruptions", "lost_seconds", "checkpoint_seconds"),
    }


def _digests(result: StageResult) -> dict[str, str]:
    return {name: one.digest for name, one in result.artifacts.items() if name.startswith("model/")}
