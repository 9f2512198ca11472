"""A stage on several ranks that was interrupted goes on from its last checkpoint, on all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from interrupting import ADAPTERS, EVERY_STEP, figures, series, stopping_at, weights
from ranks import together, trained_together

from harness.measure.ranks import Ranks
from harness.training import checkpoints
from harness.training.job import TrainJob
from harness.training.run import take_part, train


@pytest.fixture(autouse=True)
def _however_long_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 1e12)


def interrupted(job: TrainJob, step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train on two ranks until `step` steps are done; the names of the checkpoints that are left."""

    def work(ranks: Ranks) -> list[str]:
        mine = replace(job, ranks=ranks, checkpoint_seconds=EVERY_STEP if ranks.first else 1e9)
        with pytest.raises(KeyboardInterrupt):
            (train if ranks.first else take_part)(mine)
        return sorted(one.name for one in (job.out / "checkpoints").glob("checkpoint-*"))

    # Only rank 0 asks for checkpoints by time; the others write theirs with it.
    with stopping_at(step, monkeypatch):
        found: list[str] = together(work)
    return found


CASES = [
    ("sft", {}, "ddp"),
    ("dpo", {"beta": 0.5, "lora": ADAPTERS}, "ddp"),
    ("orpo", {"lambda": 0.5}, "fsdp2"),
    ("dpo", {"beta": 0.5, "lora": ADAPTERS}, "fsdp2"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize(("method", "settings", "parallel"), CASES)
def test_an_interrupted_stage_ends_as_if_it_had_not_been(
    make_job: Any, method: str, settings: Any, parallel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = {"batch_size": 4, "micro_batch_size": 2, "epochs": 2.0, "parallel": parallel, **settings}
    whole = make_job(method, name="whole", **common)
    expected = trained_together(whole)
    job = make_job(method, name="cut", **common)
    assert interrupted(job, 4, monkeypatch) == ["checkpoint-4"]
    outcome = trained_together(job)
    assert outcome.kept_seconds > 0
    assert series(job) == series(whole)
    assert all((weights(job)[name] == weight).all() for name, weight in weights(whole).items())
    assert outcome.facts.sequences == expected.facts.sequences
    assert figures(outcome) == figures(expected)
