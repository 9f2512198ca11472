"""The course of every training stage: load, train, save, then count what it cost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from harness.artifacts import CHECKPOINTS
from harness.measure.window import AUDIT, CHECKPOINT, COUNTING, EVALUATION
from harness.records import CheckpointState, EndedEarly, ProbeFacts, TrainFacts
from harness.training.agree import Agree
from harness.training.build import build
from harness.training.checkpoints import (
    Checkpoints,
    carried_seconds,
    drop_timed,
    newest_whole,
    restore,
    room_for,
)
from harness.training.collate import Rows, read_rows
from harness.training.divergence import StopAtDivergence, check_weights
from harness.training.end_early import EndEarly
from harness.training.facts import dealt_out, stage_facts, token_ledger, with_run
from harness.training.flops import Counted, StageFlops, count, cumulative
from harness.training.job import StageTrainer, TrainJob, TrainOutcome
from harness.training.load import load_policy, load_tokenizer, trains_reward
from harness.training.probe import Probe
from harness.training.probe_plan import probes_of
from harness.training.reward import RewardProbe
from harness.training.trace import Trace
from harness.training.updates import Updates


@dataclass(frozen=True)
class Run:
    """A trained stage before it is counted. `updates` and `probes` are None where nobody looked.

    `kept_seconds` is the work of interrupted attempts that it went on from. `weights` are the trained ones
    where ranks have shares of them: on rank 0 all, elsewhere none."""

    trainer: StageTrainer
    data: Rows
    started_from: str
    updates: Updates | None = None
    probes: ProbeFacts | None = None
    kept_seconds: float = 0.0
    ended_early: EndedEarly | None = None
    weights: dict[str, Any] | None = None


def train(job: TrainJob) -> TrainOutcome:
    """Run `job`; leaves `model/` and `steps.jsonl` in its folder."""
    run = _trained(job)
    assert run.updates is not None
    trainer = run.trainer
    with job.window.phase(COUNTING):
        before = trainer.reference_buckets(whole=False)
        ran, void = trainer.trace.in_order(), [shape.bucket for shape in trainer.trace.void]
        known = Counted.of(trainer, [*ran, *void], before)
        void_flops = sum(map(known.steps.of, void))
        flops = count(trainer, ran, before, known, trainer.trace.micro_batches)
        _write_steps(job.out / "steps.jsonl", trainer.trace, flops)
        course = trainer.course(job.config, job.facts.stop_token_ids)
    facts = stage_facts(trainer, job, run.data, run.started_from, course)
    updates = run.updates.facts(trainer)
    check_weights(updates, int(trainer.state.global_step))
    with job.window.phase(EVALUATION):
        reward = trainer.reward_facts(job.prepared / "test.parquet")
    facts = with_run(facts, trainer, updates, list(flops.unknown_ops), flops.how)
    _clear(job)
    return TrainOutcome(
        facts=facts.model_copy(
            update={
                "probes": run.probes,
                "reward": reward,
                "ended_early": run.ended_early,
                "parallel": dealt_out(trainer, void_flops),
            }
        ),
        ledger=[*flops.ledger(), *token_ledger(trainer)],
        kept_seconds=run.kept_seconds,
    )


def take_part(job: TrainJob) -> TrainFacts:
    """What a rank other than 0 does of `job`: it trains with the others, and writes and records nothing."""
    _trained(job)
    return TrainFacts()


def _trained(job: TrainJob) -> Run:
    """Train, and tell rank 0 what it needs of the others."""
    run = run_trainer(job, read_rows(job.train_file))
    job.trained()
    run.trainer.trace.gather()
    job.ranks.part()
    if run.weights is not None and job.ranks.first:
        with job.window.phase(COUNTING):
            run.trainer.be_whole_again(run.weights)
    return run


def run_trainer(job: TrainJob, data: Rows, *, callbacks: Sequence[Any] = (), observed: bool = True) -> Run:
    """Load, train and save, each on the clock in a phase of its own.

    `observed`: held-out pairs are probed and updates watched, which a rehearsal has no use for.
    """
    transformers.utils.logging.disable_progress_bar()
    window = job.window
    held_out = read_rows(job.prepared / "test.parquet")
    validation = read_rows(job.prepared / "validation.parquet") if job.config.early_stopping else None
    tokenizer = load_tokenizer(job.prepared, own_code=job.own_code)
    with window.phase("model_load"):
        transformers.set_seed(job.seed)
        trainer = build(job, load_policy(job), tokenizer, data, validation)
    trainer.remove_callback(transformers.PrinterCallback)
    with window.phase(AUDIT):
        started_from = trainer.start_fingerprint()
        updates = Updates(trainer) if observed else None
    trainer.prepare_reference()
    for callback in callbacks:
        trainer.add_callback(callback)
    if observed:
        trainer.add_callback(StopAtDivergence(trainer.trace))
    planned = probes_of(job, data, held_out) if observed else None
    if planned is not None and planned.probes:
        watch = RewardProbe if trains_reward(job) else Probe
        trainer.add_callback(watch(trainer, held_out, planned, job.config.micro_batch_size))
    ending = None if job.ends is None else EndEarly(job.ends, trainer.trace)
    if ending is not None:
        trainer.add_callback(ending)
    if job.config.early_stopping:
        trainer.add_callback(transformers.EarlyStoppingCallback(job.config.early_stopping.patience))
    saved = None if updates is None else _go_on(job, trainer, updates, started_from)
    if not job.ranks.alone:
        trainer.add_callback(Agree(job.ranks))
        # Weights were made from one seed on all ranks; what is dropped of adapters differs.
        torch.manual_seed(job.seed + job.ranks.rank)
    with window.phase("train"):
        trainer.train(resume_from_checkpoint=str(saved[0]) if saved else None)
    with window.phase("save"):
        weights = trainer.gather_weights()
        _save(trainer, job.out / "model", weights)
    if not observed and job.ranks.first:
        _clear(job)
    carried = carried_seconds(saved[1]) if saved else 0.0
    ended = None if ending is None else ending.ended
    return Run(trainer, data, started_from, updates, planned, carried, ended, weights)


def _go_on(
    job: TrainJob, trainer: StageTrainer, updates: Updates, started_from: str
) -> tuple[Path, CheckpointState] | None:
    """Keep checkpoints from now on, and take up where an interrupted attempt left one."""
    folder = job.out / CHECKPOINTS
    watch = Checkpoints(
        *(trainer.trace, job.window, updates, folder, job.checkpoint_seconds),
        started_from=started_from,
        needed=room_for(trainer.model),
        ranks=job.ranks,
    )
    trainer.add_callback(watch)
    if not any(folder.glob("checkpoint-*")):
        return None
    with job.window.phase(CHECKPOINT):
        saved = newest_whole(folder, started_from)
    if saved is not None:
        restore(saved[1], trainer.trace, job.window, updates)
    return saved


def _clear(job: TrainJob) -> None:
    """Delete the checkpoints that nobody asked to keep, once there is nothing left to go on to."""
    if job.config.keep_checkpoints:
        drop_timed(job.out / CHECKPOINTS)
    else:
        shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)


def _save(trainer: StageTrainer, folder: Path, weights: dict[str, Any] | None) -> None:
    """The final weights alone, gathered where ranks had shares of them; of adapters the trained one, not the
    frozen reference."""
    if not trainer.job.ranks.first:
        return
    gathered = {} if weights is None else {"state_dict": weights}
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "peft_config"):
        # Whether embeddings were resized is not asked: peft would look for the base model on its hub.
        model.save_pretrained(folder, selected_adapters=["default"], save_embedding_layers=False, **gathered)
    else:
        model.save_pretrained(folder, **gathered)


def _write_steps(path: Path, trace: Trace, flops: StageFlops) -> None:
    """Every row of the trace, with the FLOPs spent up to its step."""
    spent = cumulative(flops.by_micro_batch, trace.micro_batches, flops.once)
    rows = []
    for row in trace.rows:
        metrics = {**row["metrics"], "elapsed_flops": float(spent[row["step"]])}
        rows.append(json.dumps({"step": row["step"], "metrics": metrics}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
