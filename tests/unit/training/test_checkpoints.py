"""A stage that was interrupted goes on from its last whole checkpoint, and ends as if it had not been."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from interrupting import ADAPTERS, EVERY_STEP, figures, series, stopping_at, weights

from harness.measure.window import Window
from harness.training import checkpoints
from harness.training import run as run_module
from harness.training.checkpoints import STATE, Checkpoints, newest_whole
from harness.training.job import TrainJob, TrainOutcome
from harness.training.run import train
from harness.training.trace import Trace
from harness.training.updates import Updates


@pytest.fixture(autouse=True)
def _however_long_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 1e12)


class NoUpdates(Updates):
    """Watches nothing."""

    def __init__(self) -> None:
        """There is no model."""

    def state(self) -> dict[str, Any]:
        return {"lost_shares": [], "sampled_weights": 0}


def interrupted(job: TrainJob, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until `step` steps are done."""
    with stopping_at(step, monkeypatch), pytest.raises(KeyboardInterrupt):
        train(replace(job, checkpoint_seconds=EVERY_STEP))


def whole_of(job: TrainJob) -> Any:
    """The newest whole checkpoint, whatever it started from."""
    states = [checkpoints._read(one) for one in (job.out / "checkpoints").glob("checkpoint-*")]
    return newest_whole(job.out / "checkpoints", next((s.started_from for s in states if s is not None), ""))


def timeless(outcome: TrainOutcome) -> dict[str, Any]:
    """Facts without the time of day of probes."""
    facts = outcome.facts.model_dump()
    for probe in ("probe_first", "probe_last"):
        facts[probe] = {k: v for k, v in facts[probe].items() if k != "elapsed_seconds"}
    return facts


CASES = [
    ("sft", {"epochs": 2.0}, 4),
    ("dpo", {"beta": 0.5, "lora": ADAPTERS}, 2),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("sft", {}, 1),
            ("dpo", {"beta": 0.5}, 2),
            ("dpo", {"beta": 0.5, "reference": "precomputed"}, 2),
            ("orpo", {"lambda": 0.5, "epochs": 2.0, "lora": ADAPTERS}, 3),
            ("orpo", {"lambda": 0.5, "implementation": "trl"}, 2),
            ("dpo", {"beta": 0.5, "implementation": "trl"}, 1),
            ("reward_model", {}, 2),
            ("rloo", {"num_generations": 2, "max_completion_length": 5, "epochs": 2.0}, 3),
            ("dpo", {"beta": 0.5, "precision": "mixed", "epochs": 2.0}, 3),
            ("sft", {"epochs": 3.0, "early_stopping": {"eval_every_steps": 2, "patience": 2}}, 5),
            (
                "sft",
                {
                    "epochs": 12.0,
                    "learning_rate": 0.3,
                    "early_stopping": {"eval_every_steps": 2, "patience": 2},
                },
                5,
            ),
        )
    ),
]


@pytest.mark.parametrize(("method", "settings", "step"), CASES)
def test_the_end_is_that_of_an_uninterrupted_run(
    make_job: Any,
    probed: None,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    settings: dict[str, Any],
    step: int,
) -> None:
    whole, broken = make_job(method, name="whole", **settings), make_job(method, name="broken", **settings)
    expected = train(whole)
    interrupted(broken, step, monkeypatch)
    state = whole_of(broken)
    assert state is not None
    assert state[1].step == step
    again = replace(make_job(method, name="broken", **settings))
    found = train(again)
    assert found.kept_seconds > 0
    assert expected.kept_seconds == 0
    kept, end = weights(whole), weights(again)
    assert kept.keys() == end.keys()
    assert all(torch.equal(kept[name], end[name]) for name in kept)
    assert series(whole) == series(again)
    assert figures(expected) == figures(found)
    assert timeless(expected) == timeless(found)
    assert not (again.out / "checkpoints").exists()


def test_a_damaged_checkpoint_is_passed_over(make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("sft", epochs=2.0, keep_checkpoints=True, checkpoint_every_steps=1)
    interrupted(job, 3, monkeypatch)
    folder = job.out / "checkpoints"
    latest = whole_of(job)
    assert latest is not None
    assert latest[1].step == 3
    victim = latest[0] / "optimizer.pt"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    before = whole_of(job)
    assert before is not None
    assert before[1].step == 2
    for one in folder.glob("checkpoint-*"):
        (one / STATE).unlink()
    assert whole_of(job) is None


def test_one_timed_checkpoint_is_kept_at_a_time_and_none_after_the_last_step(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("sft", epochs=2.0)
    interrupted(job, 4, monkeypatch)
    assert [one.name for one in (job.out / "checkpoints").iterdir()] == ["checkpoint-4"]
    seen: list[int] = []
    saved = Checkpoints.on_save

    def on_save(self: Checkpoints, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seen.append(state.global_step)
        saved(self, args, state, control, **kwargs)

    monkeypatch.setattr(Checkpoints, "on_save", on_save)
    train(replace(make_job("sft", epochs=2.0), checkpoint_seconds=EVERY_STEP))
    assert seen == [5]


def test_without_room_on_the_disk_no_checkpoint_is_written(
    make_job: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoints, "room_for", lambda model: 1e30)
    monkeypatch.setattr(run_module, "room_for", lambda model: 1e30)
    job = make_job("sft", keep_checkpoints=True)
    train(replace(job, checkpoint_seconds=EVERY_STEP))
    assert not list(job.out.rglob("checkpoint-*"))


def test_what_takes_long_comes_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 s for a checkpoint, of which at most a twentieth of the time is spent on them."""
    monkeypatch.setattr(checkpoints, "MOST_SHARE", 0.05)
    now = [0.0]
    watch = Checkpoints(Trace(), Window(), NoUpdates(), tmp_path, 60.0, now=lambda: now[0])
    saved: list[float] = []
    for step in range(1, 200):
        now[0] += 10.0
        state = SimpleNamespace(global_step=step, max_steps=1000)
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        watch.on_step_end(None, state, control)
        if control.should_save:
            saved.append(now[0])
            now[0] += 20.0
            (tmp_path / f"checkpoint-{step}").mkdir()
            watch.on_save(None, state, control)
    assert saved[:3] == [60.0, 480.0, 900.0]
    now[0] += 1e6
    ended = SimpleNamespace(should_save=False, should_training_stop=True)
    watch.on_step_end(None, state, ended)
    assert not ended.should_save, "nothing goes on from where a stage is ended"


def test_checkpoints_and_what_is_loaded_from_them_are_on_no_headline(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("sft", epochs=2.0)
    interrupted(job, 3, monkeypatch)
    saved = whole_of(job)
    assert saved is not None
    kept = saved[1].window.seconds
    assert set(kept) == {"train", "checkpoint", "evaluation"} & set(job.window.seconds)
    assert all(kept[phase] <= job.window.seconds[phase] for phase in kept)
    again = make_job("sft", epochs=2.0)
    outcome = train(again)
    assert outcome.kept_seconds == pytest.approx(sum(kept.values()))
    assert all(again.window.seconds[phase] > kept[phase] for phase in ("train", "checkpoint"))


def test_a_checkpoint_of_other_weights_at_the_start_is_passed_over(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage before may have run again, and not every device repeats itself to the bit."""
    job = make_job("sft", epochs=2.0)
    interrupted(job, 3, monkeypatch)
    assert whole_of(job) is not None
    assert newest_whole(job.out / "checkpoints", "other") is None


def test_the_checkpoint_outlives_the_training_until_the_stage_has_all(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting may take minutes, and a kill in it shall not cost the training."""
    job = replace(make_job("sft", epochs=2.0), checkpoint_seconds=EVERY_STEP)

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "count", killed)
        with pytest.raises(KeyboardInterrupt):
            train(job)
    state = whole_of(job)
    assert state is not None
    assert state[1].step == 5
    assert train(replace(make_job("sft", epochs=2.0))).kept_seconds > 0
    assert not (job.out / "checkpoints").exists()
