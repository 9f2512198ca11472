"""Probes cost at most 5% of the training they watch, and read the same pairs in every arm."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from few import few
from transformers import TrainerCallback

from harness.training.collate import read_rows
from harness.training.probe_plan import FORWARD, FULL, LORA, due_steps, plan_probes, probes_of
from harness.training.run import run_trainer, train

ADAPTERS = {"r": 4, "alpha": 8}
METHODS = [
    ("sft", {}),
    ("sft", {"lora": ADAPTERS}),
    ("sft", {"epochs": 2.5}),
    ("dpo", {"beta": 0.5}),
    ("orpo", {"lambda": 0.5, "lora": ADAPTERS}),
    ("orpo", {"lambda": 0.5, "implementation": "trl"}),
]

# Held-out pairs of 100 tokens each; tokens of an epoch's chosen sequences, and of the stage's training.
TABLE = [
    # pairs held out, epoch, trained, LoRA, steps -> pairs, probes
    ((500, 1_000_000, 1_000_000, False, 900), (200, 7)),
    ((500, 400_000, 400_000, False, 900), (200, 3)),
    ((500, 400_000, 400_000, True, 900), (200, 2)),
    ((500, 400_000, 800_000, False, 900), (200, 6)),
    ((50, 400_000, 400_000, False, 900), (50, 7)),
    ((500, 20_000, 20_000, False, 30), (10, 3)),
    ((500, 20_000, 60_000, False, 30), (10, 7)),
    ((500, 20_000, 40_000, True, 30), (10, 4)),
    ((500, 2_000, 2_000, False, 3), (1, 3)),
    ((500, 2_000, 80_000, False, 3), (1, 4)),
    ((500, 1_999, 80_000, False, 30), (0, 0)),
    ((500, 20_000, 10_000, False, 15), (0, 0)),
    ((0, 20_000, 20_000, False, 30), (0, 0)),
]


@pytest.mark.parametrize(("case", "expected"), TABLE)
def test_how_many_pairs_and_probes(case: tuple[int, int, int, bool, int], expected: tuple[int, int]) -> None:
    count, epoch, trained, lora, steps = case
    planned = plan_probes([100] * count, epoch, trained, lora=lora, steps=steps)
    assert (planned.pairs, planned.probes) == expected
    assert planned.reason
    spent = FORWARD * 100 * planned.pairs * planned.probes
    assert spent <= 0.05 * (LORA if lora else FULL) * trained


@pytest.mark.parametrize(
    ("trained", "tokens", "reason"),
    [
        (80_000, 1_999, "first held-out pair has 100 tokens, over 5% of the 1,999"),
        (10_000, 20_000, "start and end of 10 held-out pairs would cost over 5%"),
    ],
)
def test_no_probe_has_its_reason(trained: int, tokens: int, reason: str) -> None:
    assert reason in plan_probes([100] * 50, tokens, trained, lora=False, steps=30).reason


def test_probes_begin_at_the_start_and_end_at_the_end() -> None:
    assert sorted(due_steps(2, 28)) == [0, 28]
    assert sorted(due_steps(7, 28)) == [0, 5, 9, 14, 19, 23, 28]


@pytest.fixture(scope="module")
def many(make_prepared: Any) -> Path:
    """120 training pairs and 8 held-out ones."""
    folder: Path = make_prepared(1, train=120, test=8)
    return folder


class Forwarded(TrainerCallback):  # type: ignore[misc]
    """Tokens that go forward through the policy while it trains, by the phase of the clock."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.tokens: Counter[str] = Counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        model.get_input_embeddings().register_forward_pre_hook(self.noted)

    def noted(self, module: Any, args: Any) -> None:
        self.tokens[self.window.current] += args[0].numel()


@pytest.mark.parametrize(("method", "settings"), few(METHODS, METHODS[0], METHODS[3]))
def test_forwarded_tokens_stay_within_five_percent(
    make_job: Any, many: Path, method: str, settings: Any
) -> None:
    job = replace(make_job(method, **settings), prepared=many)
    counted = Forwarded(job.window)
    run = run_trainer(job, read_rows(job.train_file), callbacks=[counted])
    assert run.probes is not None
    probed = [row for row in run.trainer.trace.rows if "probe_pairs" in row["metrics"]]
    assert len(probed) == run.probes.probes >= 2
    assert [probed[0]["step"], probed[-1]["step"]] == [0, run.trainer.state.max_steps]
    assert {row["metrics"]["probe_pairs"] for row in probed} == {run.probes.pairs}
    factor = LORA if job.config.lora else FULL
    assert 0 < FORWARD * counted.tokens["evaluation"] <= 0.05 * factor * counted.tokens["train"]


def test_all_arms_read_the_same_pairs(make_job: Any, many: Path) -> None:
    plans = []
    for method, settings in METHODS:
        job = replace(make_job(method, **settings), prepared=many)
        plans.append(probes_of(job, read_rows(job.train_file), read_rows(many / "test.parquet")))
    assert {planned.pairs for planned in plans} == {plans[0].pairs}
    assert len({planned.probes for planned in plans}) > 1


def test_a_stage_too_short_to_probe_says_so(make_job: Any) -> None:
    outcome = train(make_job("sft"))
    assert (outcome.facts.probe_first, outcome.facts.probes.probes) == (None, 0)
    assert "first held-out pair" in outcome.facts.probes.reason
    assert outcome.notes == [], "a note would say that something spoilt the stage's figures"
