"""The learning rate of every step is transformers' own, and the audit tells one course from another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from few import few

from harness.methods import load_method
from harness.training.collate import read_rows
from harness.training.run import run_trainer

STEPS = 9
RATE = 1e-3
CASES: dict[str, tuple[dict[str, Any], int, dict[str, float]]] = {
    "cosine": ({"warmup_ratio": 0.3}, 3, {}),
    "linear": ({"warmup_steps": 2}, 2, {}),
    "inverse_sqrt": ({"warmup_steps": 4}, 4, {}),
    "constant": ({"warmup_ratio": 0.3}, 0, {}),
    "constant_with_warmup": ({"warmup_steps": 5}, 5, {}),
    "cosine_with_min_lr": ({"warmup_steps": 3, "min_lr_rate": 0.2}, 3, {"min_lr_rate": 0.2}),
}


def of_transformers(schedule: str, warm_up: int, own: dict[str, float]) -> list[float]:
    """The rate before each step, by transformers' scheduler alone."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    course = transformers.get_scheduler(schedule, optimizer, warm_up, STEPS, own or None)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        course.step()
    return rates


@pytest.mark.parametrize("schedule", few(CASES, "cosine", "linear"))
@pytest.mark.parametrize("implementation", ["matched", "trl"])
def test_every_step_has_the_rate_of_transformers(make_job: Any, schedule: str, implementation: str) -> None:
    settings, warm_up, own = CASES[schedule]
    job = make_job(
        "sft",
        implementation=implementation,
        schedule=schedule,
        learning_rate=RATE,
        max_steps=STEPS,
        **settings,
    )
    trainer = run_trainer(job, read_rows(job.train_file), observed=False).trainer
    rates = [row["metrics"]["learning_rate"] for row in trainer.trace.rows if "loss" in row["metrics"]]
    assert rates == pytest.approx(of_transformers(schedule, warm_up, own), rel=1e-9)


def config(**settings: Any) -> Any:
    return load_method("sft").Config.model_validate({"learning_rate": 1e-3, **settings})


def test_a_course_is_recorded_in_words_that_tell_it_from_others() -> None:
    told = {config(schedule=name, **settings).schedule_in_words() for name, (settings, _, _) in CASES.items()}
    assert len(told) == len(CASES)
    assert config(warmup_ratio=0.1).schedule_in_words() == "cosine, warm-up 0.1"
    assert config(warmup_steps=100).schedule_in_words() == "cosine, warm-up 100 steps"
    assert config(schedule="constant", warmup_steps=100).schedule_in_words() == "constant"


def test_one_warm_up_alone_is_given() -> None:
    assert (config().warmup_ratio, config().warmup_steps) == (0.1, None)
    assert (config(warmup_steps=0).warmup_ratio, config(warmup_steps=0).warmup_steps) == (None, 0)
    assert config(warmup_steps=5, warmup_ratio=None).warmup_steps == 5
    with pytest.raises(ValueError, match=r"two lengths of one warm-up; give one"):
        config(warmup_steps=5, warmup_ratio=0.1)
    written = config(warmup_steps=5).model_dump(mode="json")
    assert load_method("sft").Config.model_validate(written).warmup_steps == 5


@pytest.mark.parametrize("settings", [{"schedule": "cosine_with_min_lr"}, {"min_lr_rate": 0.1}])
def test_a_least_rate_belongs_to_its_schedule(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="min_lr_rate belongs to schedule: cosine_with_min_lr"):
        config(**settings)
