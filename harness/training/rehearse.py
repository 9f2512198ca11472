"""A few real steps of a stage, and what they foretell of the whole run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.records import Prediction, RehearseFacts, TimedSteps
from harness.training.collate import Rows, length_of, read_rows
from harness.training.facts import stage_facts
from harness.training.flops import Counted, count
from harness.training.job import StageTrainer, TrainJob
from harness.training.order import spread_of_batches
from harness.training.run import Run, run_trainer
from harness.training.timing import StepTimer, forecast
from harness.training.walk import Walk, walk

MICRO_BATCHES = 2


def rehearse(job: TrainJob, steps: int) -> RehearseFacts:
    """Facts for the audit before training, and `prediction` without bytes of memory.

    Steps of two micro-batches each run on real rows, the longest first: a second one adds
    to gradients that are there, so that memory peaks as in the run. Adapters are kept in `model/`
    for the rehearsal of the stage that goes on from them; full weights are not.
    """
    config = job.config
    per_step = min(MICRO_BATCHES, config.batch_size // config.micro_batch_size)
    data = read_rows(job.train_file)
    lengths = [length_of(row) for row in data]
    rows = spread_of_batches(lengths, config.micro_batch_size, job.seed, steps, per_step)
    changes = {
        "max_steps": steps,
        "batch_size": per_step * config.micro_batch_size,
        "early_stopping": None,
        "keep_checkpoints": False,
    }
    trial = replace(job, config=config.model_copy(update=changes), rows=tuple(rows))
    timer = StepTimer()
    run = run_trainer(trial, data, callbacks=[timer], probes=False)
    _answer_once(run.trainer, run.data)
    job.trained()
    course = walk(run.trainer, config, stop_token_ids=job.facts.stop_token_ids)
    facts = stage_facts(run.trainer, job, run.data, run.started_from, course)
    return RehearseFacts(stage=facts, prediction=_prediction(trial, run, timer, course))


def _prediction(trial: TrainJob, run: Run, timer: StepTimer, course: Walk) -> Prediction:
    """FLOPs exactly, seconds from the timed steps, the checkpoint's bytes."""
    trainer, seconds = run.trainer, trial.window.seconds
    known = Counted()
    whole = count(trainer, course.buckets, trainer.reference_buckets(whole=True), known)
    tried = count(trainer, trainer.trace.in_order(), trainer.reference_buckets(whole=False), known)
    reference = seconds.get("reference", 0.0) * (whole.once / tried.once if tried.once else 0.0)
    parts = {
        "model_load": seconds["model_load"],
        "reference": reference,
        "around_training": timer.outside_steps(seconds["train"]),
        "save": seconds["save"],
    }
    fixed = sum(parts.values())
    expected = forecast(timer, tried.by_micro_batch, whole.by_micro_batch, len(course.steps), fixed)
    size = _size(trial.out / "model")
    if trial.config.lora is None:
        shutil.rmtree(trial.out / "model")
    return Prediction(
        steps=len(course.steps),
        pairs=course.pairs,
        tokens_real=course.tokens_real,
        tokens_padded=course.tokens_padded,
        flops=whole.total,
        flops_before=whole.once,
        reference_flops=whole.reference,
        flops_theory=whole.theory,
        body_flops=whole.body,
        useful_flops=whole.useful,
        seconds=expected.seconds,
        seconds_low=expected.low,
        seconds_high=expected.high,
        seconds_of_parts={**parts, "train": expected.seconds - fixed},
        timed_micro_batches=len(timer.micro),
        timed=TimedSteps(
            micro_batch_seconds=[m.seconds for m in timer.micro],
            micro_batch_flops=tried.by_micro_batch,
            around_seconds=timer.around,
        ),
        checkpoint_bytes=size,
        flops_unknown_ops=list(whole.unknown_ops),
        flops_counted_by=whole.how,
    )


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _answer_once(trainer: StageTrainer, data: Rows) -> None:
    model: Any = trainer.model
    model.eval()
    ids = torch.tensor([[int(token) for token in data[0]["prompt_ids"]]], device=trainer.accelerator.device)
    with torch.no_grad():
        model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
