"""A pruner's rule ends a stage at a probe that is below it, and what the stage did is what it is charged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from harness.artifacts import CHECKPOINTS
from harness.records import EndRule
from harness.training.collate import read_rows
from harness.training.run import run_trainer, train

METRIC = "probe_preference_accuracy"
SETTINGS: dict[str, Any] = {"lambda": 0.5, "epochs": 2}
"""Six steps, probed after none, 3 and 6."""


def rule(*least: tuple[float, float]) -> EndRule:
    return EndRule(by="median", metric=METRIC, least=list(least))


def rows_of(job: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]


def entry(outcome: Any, quantity: str) -> Any:
    return next(one.value for one in outcome.ledger if one.quantity == quantity)


def test_a_probe_below_the_rule_ends_the_stage(make_job: Any, probed: None) -> None:
    whole = make_job("orpo", name="whole", **SETTINGS)
    ended = replace(make_job("orpo", name="ended", **SETTINGS), ends=rule((0.5, 1.1)))
    all_of_it, outcome = train(whole), train(ended)
    assert all_of_it.facts.ended_early is None
    end = outcome.facts.ended_early
    assert end is not None
    assert (end.by, end.step, end.steps, end.least) == ("median", 3, 6, 1.1)
    probes = {row["step"]: row["metrics"][METRIC] for row in rows_of(ended) if METRIC in row["metrics"]}
    assert probes == {k: v for k, v in probes.items() if k in (0, 3)}
    assert end.value == probes[3]
    assert entry(outcome, "steps") == 3
    assert 0 < entry(outcome, "flops") < entry(all_of_it, "flops")
    # Up to its end it is the same training.
    losses = [
        [row["metrics"]["loss"] for row in rows_of(j) if "loss" in row["metrics"]] for j in (whole, ended)
    ]
    assert losses[1] == losses[0][:3]
    assert (ended.out / "model" / "config.json").is_file()


def test_an_interrupted_stage_cannot_go_on_past_its_end(make_job: Any, probed: None) -> None:
    """The newest checkpoint is from before it, so that the probe is made again and ends the stage again."""
    job = make_job("orpo", **SETTINGS, keep_checkpoints=True, checkpoint_every_steps=1)
    job = replace(job, ends=rule((0.5, 1.1)))
    assert run_trainer(job, read_rows(job.train_file)).ended_early is not None
    kept = {int(one.name.partition("-")[2]) for one in (job.out / CHECKPOINTS).glob("checkpoint-*")}
    assert max(kept) == 2


@pytest.mark.parametrize("least", [(0.5, -0.1), (0.4, 1.1), (1.0, 1.1)])
def test_what_is_not_below_runs_on(make_job: Any, probed: None, least: tuple[float, float]) -> None:
    """At least as good, no rule where it is probed, and the end, which nothing can end."""
    outcome = train(replace(make_job("orpo", **SETTINGS), ends=rule(least)))
    assert outcome.facts.ended_early is None
    assert entry(outcome, "steps") == 6
