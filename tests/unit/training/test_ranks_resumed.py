"""A stage on several ranks that was interrupted goes on from its last checkpoint, on all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ranks import together, trained_together
from safetensors.torch import load_file
from transformers import TrainerCallback

from harness.jsonl import read_jsonl
from harness.measure.ranks import Ranks
from harness.training import checkpoints
from harness.training import run as run_module
from harness.training.job import TrainJob, TrainOutcome
from harness.training.run import take_part, train

EVERY_STEP = 1e-9
"""Seconds between checkpoints, of rank 0; the others would write none."""
ADAPTERS = {"r": 4, "alpha": 8, "dropout": 0.2}


@pytest.fixture(autouse=True)
def _however_long_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 1e12)


class Stop(TrainerCallback):
    """Ends the work in mid-run, after the checkpoint of `step` was completed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def weights(job: TrainJob) -> Any:
    return load_file(next((job.out / "model").glob("*.safetensors")))


def series(job: TrainJob) -> list[dict[str, Any]]:
    """Rows without times."""
    rows = [row["metrics"] for row in read_jsonl(job.out / "steps.jsonl")]
    return [{name: value for name, value in row.items() if name != "elapsed_seconds"} for row in rows]


def figures(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value for m in outcome.ledger}


def interrupted(job: TrainJob, step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train on two ranks until `step` steps are done; the names of the checkpoints that are left."""
    built = run_module.build

    def build(*arguments: Any) -> Any:
        trainer = built(*arguments)
        trainer.add_callback(Stop(step))
        return trainer

    def work(ranks: Ranks) -> list[str]:
        mine = replace(job, ranks=ranks, checkpoint_seconds=EVERY_STEP if ranks.first else 1e9)
        with pytest.raises(KeyboardInterrupt):
            (train if ranks.first else take_part)(mine)
        return sorted(one.name for one in (job.out / "checkpoints").glob("checkpoint-*"))

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "build", build)
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
