"""A training that diverges ends at once and is named as that, in every method and implementation."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import Diverged
from harness.records import UpdateFacts
from harness.training.divergence import StopAtDivergence, check_weights
from harness.training.run import train
from harness.training.trace import Trace


def logged(*losses: float, grad_norm: float = 1.0) -> None:
    trace = Trace()
    watch = StopAtDivergence(trace)
    for step, loss in enumerate(losses, start=1):
        trace.rows.append({"step": step, "metrics": {"loss": loss}})
        logs = {"loss": loss, "grad_norm": grad_norm, "learning_rate": 1e6}
        watch.on_log(None, SimpleNamespace(global_step=step), None, logs)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_it_names_step_loss_rate_and_the_last_good_step(bad: float) -> None:
    with pytest.raises(Diverged) as told:
        logged(2.5, 0.75, bad)
    assert str(told.value) == (
        f"diverged at step 3: loss {bad}; learning rate 1e+06; the last good step was 2, loss 0.75"
    )


def test_a_gradient_that_is_not_finite_has_spoilt_the_weights() -> None:
    with pytest.raises(Diverged, match=r"step 1: gradient norm nan; .* no step before it was good"):
        logged(2.5, grad_norm=math.nan)


def test_finite_losses_and_other_logs_pass() -> None:
    logged(2.5, 1e30, 0.0)
    StopAtDivergence(Trace()).on_log(None, SimpleNamespace(global_step=1), None, {"eval_loss": math.nan})


def test_a_last_step_may_spoil_the_weights_and_no_loss() -> None:
    check_weights(UpdateFacts(moved_share=1.0, relative_norm=0.1), 8)
    with pytest.raises(Diverged, match="at step 8, its last: the trained weights are not finite"):
        check_weights(UpdateFacts(moved_share=1.0, relative_norm=math.nan), 8)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sft", {}),
        ("dpo", {"beta": 0.5}),
        ("orpo", {"lambda": 0.5}),
        ("orpo", {"lambda": 0.5, "implementation": "trl"}),
    ],
)
def test_a_rate_far_too_high_ends_the_stage(make_job: Any, method: str, settings: dict[str, Any]) -> None:
    with pytest.raises(Diverged, match=r"diverged at step \d+: (loss|gradient norm) (nan|inf)"):
        train(make_job(method, learning_rate=1e30, **settings))
