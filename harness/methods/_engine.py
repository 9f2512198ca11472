"""The course of every training stage: load, train, save, then count what it cost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from harness.methods import TrainJob, TrainOutcome
from harness.methods._batches import walk
from harness.methods._dpo_trainer import reference_fingerprint
from harness.methods._facts import audit_facts, prepared_facts, run_facts, token_ledger
from harness.methods._flops import StageFlops, count, cumulative
from harness.methods._load import (
    LoadedPolicy,
    fingerprint_weights,
    load_pairs,
    load_policy,
    load_tokenizer,
)
from harness.methods._probe import Probe

Build = Callable[[TrainJob, LoadedPolicy, Any, Any, Any], Any]
PROBE_PAIRS = 200


@dataclass(frozen=True)
class Run:
    """A trained stage before it is counted."""

    trainer: Any
    train: Any
    started_from: str


def train(job: TrainJob, build: Build) -> TrainOutcome:
    """Run `job` with the trainer that `build` makes; leaves `model/` and `steps.jsonl`."""
    pairs = load_pairs(job.sft_data or job.prepared / "train.parquet")
    run = run_trainer(job, build, pairs)
    job.trained()
    trainer = run.trainer
    before = list(getattr(trainer, "reference_buckets", []))
    flops = count(trainer, trainer.trace.in_order(), before)
    _write_steps(job.out / "steps.jsonl", trainer.trace, flops)
    walked = walk(trainer, job.config, stop_token_ids=prepared_facts(job).get("stop_token_ids", []))
    facts = audit_facts(job, trainer, pairs, run.started_from, walked)
    return TrainOutcome(
        ledger=[*flops.ledger(), *token_ledger(trainer)],
        facts={**facts, **run_facts(trainer), **flops.facts()},
    )


def run_trainer(
    job: TrainJob, build: Build, pairs: Any, *, callbacks: Sequence[Any] = (), probes: bool = True
) -> Run:
    """Load, train and save, each on the clock in a phase of its own."""
    transformers.utils.logging.disable_progress_bar()
    window = job.window
    tokenizer = load_tokenizer(job.prepared)
    test = load_pairs(job.prepared / "test.parquet")
    with window.phase("model_load"):
        transformers.set_seed(job.seed)
        policy = load_policy(job)
        trainer = build(job, policy, tokenizer, pairs, test)
    trainer.remove_callback(transformers.PrinterCallback)
    started_from = fingerprint_weights(trainer.model)
    if trainer.has_reference and trainer.reference_weights is None:
        trainer.reference_weights = reference_fingerprint(trainer)
    for callback in callbacks:
        trainer.add_callback(callback)
    if probes and len(test):
        probe = test.select(range(min(PROBE_PAIRS, len(test))))
        trainer.add_callback(Probe(trainer, probe, job.config.micro_batch_size))
    if job.config.early_stopping:
        patience = job.config.early_stopping.patience
        trainer.add_callback(transformers.EarlyStoppingCallback(patience))
    with window.phase("train"):
        trainer.train()
    with window.phase("save"):
        _save(trainer, job.out / "model")
    if not job.config.keep_checkpoints:
        shutil.rmtree(job.out / "checkpoints", ignore_errors=True)
    return Run(trainer, pairs, started_from)


def _save(trainer: Any, folder: Path) -> None:
    """The final weights alone; of adapters the trained one, not the frozen reference."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "peft_config"):
        model.save_pretrained(folder, selected_adapters=["default"])
    else:
        model.save_pretrained(folder)


def _write_steps(path: Path, trace: Any, flops: StageFlops) -> None:
    """Every row of the trace, with the FLOPs spent up to its step."""
    spent = cumulative(flops.by_micro_batch, trace.micro_batches, flops.once)
    rows = []
    for row in trace.rows:
        metrics = {**row["metrics"], "elapsed_flops": float(spent[row["step"]])}
        rows.append(json.dumps({"step": row["step"], "metrics": metrics}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
