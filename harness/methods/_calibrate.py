"""A few real steps of a stage, and what they foretell of the whole run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.methods import TrainJob
from harness.methods._batches import Walk, walk
from harness.methods._engine import Build, Run, run_trainer
from harness.methods._facts import audit_facts, prepared_facts
from harness.methods._flops import Counted, count
from harness.methods._load import load_pairs
from harness.methods._order import spread_of_batches
from harness.methods._timing import StepTimer, forecast

MICRO_BATCHES = 2


def rehearse(job: TrainJob, build: Build, steps: int) -> dict[str, Any]:
    """Facts for the audit before training, and `prediction`.

    Steps of two micro-batches each run on real rows, the longest first: a second one adds
    to gradients that are there, so that memory peaks as in the run. Adapters are kept in `model/`
    for the rehearsal of the stage that goes on from them; full weights are not.
    """
    config = job.config
    pairs = load_pairs(job.sft_data or job.prepared / "train.parquet")
    per_step = min(MICRO_BATCHES, config.batch_size // config.micro_batch_size)
    rows = spread_of_batches(_lengths(pairs), config.micro_batch_size, job.seed, steps, per_step)
    changes = {
        "max_steps": steps,
        "batch_size": per_step * config.micro_batch_size,
        "early_stopping": None,
        "keep_checkpoints": False,
    }
    trial = replace(job, config=config.model_copy(update=changes), rows=tuple(rows))
    timer = StepTimer()
    run = run_trainer(trial, build, pairs, callbacks=[timer], probes=False)
    _answer_once(run.trainer)
    job.trained()
    stops = prepared_facts(job).get("stop_token_ids", [])
    walked = walk(run.trainer, config, stop_token_ids=stops)
    facts = audit_facts(job, run.trainer, pairs, run.started_from, walked)
    facts["prediction"] = _prediction(trial, run, timer, walked)
    return facts


def _lengths(pairs: Any) -> list[int]:
    """Tokens of the longest sequence of each row."""
    names = [name for name in ("chosen_ids", "rejected_ids") if name in pairs.column_names]
    return [len(row["prompt_ids"]) + max(len(row[name]) for name in names) for row in pairs]


def _prediction(trial: TrainJob, run: Run, timer: StepTimer, walked: Walk) -> dict[str, Any]:
    """FLOPs exactly, seconds from the timed steps, the checkpoint's bytes."""
    trainer, seconds = run.trainer, trial.window.seconds
    ran_before = list(getattr(trainer, "reference_buckets", []))
    before = trainer.reference_buckets_of_all() if ran_before else []
    known = Counted()
    whole = count(trainer, walked.buckets, before, known)
    tried = count(trainer, [b for b in trainer.trace.in_order()], ran_before, known)
    reference = seconds.get("reference", 0.0) * (whole.once / tried.once if tried.once else 0.0)
    parts = {
        "model_load": seconds["model_load"],
        "reference": reference,
        "around_training": timer.outside_steps(seconds["train"]),
        "save": seconds["save"],
    }
    expected = forecast(
        timer, tried.by_micro_batch, whole.by_micro_batch, len(walked.steps), sum(parts.values())
    )
    size = _size(trial.out / "model")
    if trial.config.lora is None:
        shutil.rmtree(trial.out / "model")
    return {
        "steps": len(walked.steps),
        "pairs": walked.pairs,
        "tokens_real": walked.tokens_real,
        "tokens_padded": walked.tokens_padded,
        "flops": whole.total,
        "flops_before": whole.once,
        "reference_flops": whole.reference,
        "flops_theory": whole.theory,
        "body_flops": whole.body,
        "useful_flops": whole.useful,
        "seconds": expected.seconds,
        "seconds_low": expected.low,
        "seconds_high": expected.high,
        "seconds_of_parts": {**parts, "train": expected.seconds - sum(parts.values())},
        "timed_micro_batches": len(timer.micro),
        "timed": {
            "micro_batch_seconds": [m.seconds for m in timer.micro],
            "micro_batch_flops": tried.by_micro_batch,
            "around_seconds": timer.around,
        },
        "checkpoint_bytes": size,
        **whole.facts(),
    }


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _answer_once(trainer: Any) -> None:
    trainer.model.eval()
    first = trainer.train_dataset[0]
    ids = torch.tensor([first.get("prompt_ids") or first.get("prompt_input_ids") or first["input_ids"]])
    with torch.no_grad():
        trainer.model.generate(
            input_ids=ids.to(trainer.accelerator.device), max_new_tokens=8, do_sample=False
        )
