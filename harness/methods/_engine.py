"""The course of every training stage: load, train, save, then count what it cost."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from harness.measure import theory
from harness.measure.flops import Bucket, FlopTotal, total_flops
from harness.methods import TrainJob, TrainOutcome
from harness.methods._load import (
    LoadedPolicy,
    digest_rows,
    fingerprint_weights,
    load_pairs,
    load_policy,
    load_tokenizer,
)
from harness.methods._shared import Probe, epoch_order
from harness.records import Measurement

Build = Callable[[TrainJob, LoadedPolicy, Any, Any, Any], Any]
PROBE_PAIRS = 64


@dataclass(frozen=True)
class Run:
    """A trained stage before it is counted."""

    trainer: Any
    train: Any
    started_from: str


def train(job: TrainJob, build: Build) -> TrainOutcome:
    """Run `job` with the trainer that `build` makes; leaves `model/` and `steps.jsonl`."""
    transformers.utils.logging.disable_progress_bar()
    pairs = load_pairs(job.sft_data or job.prepared / "train.parquet")
    run = _run(job, build, pairs)
    rows = "".join(json.dumps(row) + "\n" for row in run.trainer.trace.rows)
    (job.out / "steps.jsonl").write_text(rows, encoding="utf-8")
    job.trained()
    ledger, counted = _count(run.trainer)
    tokens = _token_counts(run.trainer)
    return TrainOutcome(ledger=[*ledger, *tokens], facts={**_facts(job, run), **counted})


def rehearse(job: TrainJob, build: Build, steps: int) -> dict[str, Any]:
    """`steps` optimizer steps on the longest pairs, a checkpoint and one short answer.

    Two micro-batches stand for an effective batch: the second adds to gradients that are there.
    Returns seconds of a whole step by the fastest of them, the checkpoint's bytes and the steps
    of the whole run.
    """
    pairs = load_pairs(job.sft_data or job.prepared / "train.parquet")
    config = job.config
    full_steps = config.max_steps or max(1, -(-len(pairs) // config.batch_size)) * config.epochs
    sizes = [sum(len(r[c]) for c in r if c.endswith("_ids")) for r in pairs]
    batch = min(config.batch_size, 2 * config.micro_batch_size)
    longest = sorted(range(len(pairs)), key=lambda i: -sizes[i])[:batch]
    wanted = [longest[i % len(longest)] for i in range(batch * steps)]
    marks: list[float] = []
    trial = replace(
        job,
        config=config.model_copy(
            update={
                "max_steps": steps,
                "batch_size": batch,
                "early_stopping": None,
                "keep_checkpoints": False,
            }
        ),
        report=lambda step, total, metrics: marks.append(time.perf_counter()),
    )
    began = time.perf_counter()
    run = _run(trial, build, pairs.select(wanted))
    gaps = [b - a for a, b in zip([began, *marks], marks, strict=False)]
    folder = job.out / "model"
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    _answer_once(run.trainer)
    shutil.rmtree(folder)
    return {
        "step_seconds": min(gaps[1:] or gaps) * config.batch_size / batch,
        "checkpoint_bytes": size,
        "steps": int(full_steps),
        "longest_tokens": max(sizes),
        "mean_tokens": sum(sizes) / len(sizes),
        "longest_batch_mean_tokens": sum(sizes[i] for i in longest) / len(longest),
    }


def _run(job: TrainJob, build: Build, pairs: Any) -> Run:
    window = job.window
    tokenizer = load_tokenizer(job.prepared)
    test = load_pairs(job.prepared / "test.parquet")
    with window.phase("model_load"):
        transformers.set_seed(job.seed)
        policy = load_policy(job)
        trainer = build(job, policy, tokenizer, pairs, test)
    trainer.remove_callback(transformers.PrinterCallback)
    started_from = fingerprint_weights(trainer.model)
    if len(test):
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


def _answer_once(trainer: Any) -> None:
    trainer.model.eval()
    ids = torch.tensor([trainer.train_dataset[0].get("prompt_ids") or trainer.train_dataset[0]["input_ids"]])
    with torch.no_grad():
        trainer.model.generate(
            input_ids=ids.to(trainer.accelerator.device), max_new_tokens=8, do_sample=False
        )


def _count(trainer: Any) -> tuple[list[Measurement], dict[str, Any]]:
    """FLOPs of the run and of its reference, counted and from theory."""
    buckets = trainer.trace.buckets()
    trainer.model.train()
    steps = total_flops(buckets, trainer.step_once)
    in_loop, before = _reference_buckets(trainer, buckets)
    reference = total_flops(in_loop + before, trainer.reference_once) if in_loop + before else None
    once = total_flops(before, trainer.reference_once) if before else None
    total = steps.total + (once.total if once else 0)
    unknown = sorted({*steps.unknown_ops, *(reference.unknown_ops if reference else ())})
    expected = _theory(trainer, buckets, in_loop + before)
    facts = {
        "flops_unknown_ops": unknown,
        "flops_counted_by": steps.how,
    }
    return _flop_ledger(total, reference, expected), facts


def _reference_buckets(trainer: Any, buckets: Counter[Bucket]) -> tuple[Counter[Bucket], Counter[Bucket]]:
    """Batches that the reference saw within the steps, and before them."""
    if not getattr(trainer, "has_reference", False):
        return Counter(), Counter()
    if trainer.precompute_ref_logps:
        return Counter(), Counter(Bucket(*shape) for shape in trainer.reference_shapes)
    return buckets, Counter()


def _theory(
    trainer: Any, buckets: Counter[Bucket], reference: Counter[Bucket]
) -> tuple[float | None, float | None, str | None]:
    """FLOPs from formulas, of the whole and of the bodies' matrices, or why there are none."""
    model = trainer.model
    shape = theory.ModelShape.of_model(model)
    score_all = not torch.cuda.is_available()
    attention: theory.Attention = "eager" if trainer.job.config.attention == "eager" else "flash"
    checkpointing = trainer.job.config.gradient_checkpointing
    total = theory.train_flops(
        shape,
        buckets,
        checkpointing=checkpointing,
        attention=attention,
        score_all=score_all,
        head="fused" if trainer.fused else "plain",
    )
    adapters = bool(shape.lora) and "ref" in getattr(model, "peft_config", {})
    total += theory.forward_flops(shape, reference, score_all=score_all, adapters=adapters)
    body = theory.body_flops(shape, buckets, passes=4 if shape.lora else 6)
    body += theory.body_flops(shape, reference, passes=2)
    return total, body, None


def _flop_ledger(
    total: int, reference: FlopTotal | None, expected: tuple[float | None, float | None, str | None]
) -> list[Measurement]:
    theoretical, body, why_not = expected

    def entry(quantity: str, value: float | None, source: str, reason: str | None) -> Measurement:
        return Measurement(
            quantity=quantity,
            value=value,
            unit="FLOP",
            scope="stage",
            source=source,
            reason=reason if value is None else None,
        )

    counted = "torch FlopCounterMode, outside the timed run"
    no_reference = "this method has no reference model"
    return [
        entry("flops", total, counted, None),
        entry("reference_flops", reference.total if reference else None, counted, no_reference),
        entry("flops_theory", theoretical, "formula", why_not),
        entry("body_flops", body, "formula: the blocks' matrices alone", why_not),
    ]


def _token_counts(trainer: Any) -> list[Measurement]:
    trace = trainer.trace
    real = int(sum(int(t) for t in trace.tokens_real))
    pairs = sum(
        trainer.pairs_of_shape(batch) * n
        for (batch, _, _), n in Counter((b, t, 0) for b, t, _ in trace.shapes).items()
    )

    def entry(quantity: str, value: int, unit: Any) -> Measurement:
        return Measurement(
            quantity=quantity, value=value, unit=unit, scope="stage", source="the trainer's batches"
        )

    return [
        entry("steps", trainer.state.global_step, "step"),
        entry("pairs", pairs, "pair"),
        entry("tokens_real", real, "token"),
        entry("tokens_padded", trace.tokens_padded, "token"),
        entry("tokens_scored", sum(int(s) for _, _, s in trace.shapes), "token"),
    ]


def _facts(job: TrainJob, run: Run) -> dict[str, Any]:
    """What the parity audit compares."""
    config, trainer = job.config, run.trainer
    ids = list(run.train["id"])
    order = epoch_order(len(ids), job.seed, 0)
    probes = [r["metrics"] for r in trainer.trace.rows if "probe_logp_chosen" in r["metrics"]]
    parameters = list(trainer.model.parameters())
    return {
        "method": type(trainer).__mro__[1].__name__,
        "dtype": str(next(trainer.model.parameters()).dtype).removeprefix("torch."),
        "attention": config.attention,
        "optimizer": config.optimizer,
        "schedule": f"{config.schedule}, warm-up {config.warmup_ratio}",
        "learning_rate": config.learning_rate,
        "epochs": config.epochs,
        "effective_batch_pairs": config.batch_size,
        "micro_batch_pairs": config.micro_batch_size,
        "gradient_checkpointing": config.gradient_checkpointing,
        "tuning": "lora" if config.lora else "full",
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "parameters": sum(p.numel() for p in parameters),
        "nll_scope": trainer.nll_scope,
        "reference": trainer.reference_mode,
        "ids_in_order": digest_rows([ids[i] for i in order]),
        "token_ids": digest_rows(
            [run.train[i]["prompt_ids"] + run.train[i]["chosen_ids"] for i in range(len(ids))]
        ),
        "weights_at_start": run.started_from,
        "weights_at_end": fingerprint_weights(trainer.model),
        "first_loss": next(
            (r["metrics"]["loss"] for r in trainer.trace.rows if "loss" in r["metrics"]), None
        ),
        "probe_first": probes[0] if probes else None,
        "probe_last": probes[-1] if probes else None,
        "sequences_forwarded_per_pair": trainer.forwarded_per_pair,
    }
