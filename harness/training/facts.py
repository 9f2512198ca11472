"""What a stage records of itself for the parity audit and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harness.data.template import digests_of
from harness.generate.flat_attention import attention_of
from harness.measure.flops import Bucket
from harness.methods import about, load_method
from harness.pipeline.training_spec import LoraSpec
from harness.records import (
    LearningRateSource,
    LoraFacts,
    Measurement,
    ParallelFacts,
    RankFacts,
    SequenceFacts,
    TrainFacts,
    Unit,
    UpdateFacts,
)
from harness.training.collate import Rows
from harness.training.fingerprint import digest_rows, fingerprint_weights
from harness.training.job import StageTrainer, TrainJob
from harness.training.load import adapters_dropout, precision_of
from harness.training.order import epoch_order
from harness.training.shape import Shape, Walk


def stage_facts(
    trainer: StageTrainer, job: TrainJob, data: Rows, started_from: str, course: Walk
) -> TrainFacts:
    """Settings of `job` as the trainer has them, data as its loader yields it, weights as they are.

    A rehearsal trains by a shortened job and records the whole one.
    """
    arguments = trainer.args
    config, parameters = job.config, list(trainer.model.parameters())
    digests = digests_of(trainer.processing_class)
    ids = [row["id"] for row in data]
    from_config = arguments.learning_rate == config.learning_rate
    return TrainFacts(
        about=about(load_method(job.method), job.config),
        implementation=trainer.implementation,
        dtype=_dtype(parameters),
        precision=precision_of(config).kind,
        attention=attention_of(trainer.model),
        optimizer=_optimizer(arguments),
        schedule=config.schedule_in_words(),
        learning_rate=arguments.learning_rate,
        learning_rate_source=LearningRateSource.CONFIG if from_config else LearningRateSource.LIBRARY,
        epochs=config.epochs,
        max_steps=config.max_steps,
        effective_batch_pairs=config.batch_size,
        micro_batch_pairs=trainer.micro_batch_pairs(),
        gradient_checkpointing=bool(arguments.gradient_checkpointing),
        tuning="lora" if config.lora else "full",
        lora=_adapters(trainer, config.lora),
        quantization=config.quantization,
        max_length=job.facts.max_length,
        tokenizer_digest=digests["tokenizer_digest"],
        chat_template_digest=digests["chat_template_digest"],
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(p.numel() for p in parameters),
        nll_scope=trainer.nll_scope,
        router_loss=trainer.router_loss(),
        head=trainer.head_facts(),
        layout=trainer.layout_facts(),
        reference=trainer.reference_facts(),
        ids_in_order=digest_rows([ids[i] for i in epoch_order(len(ids), job.seed, 0)]),
        batches=course.facts,
        weights_at_start=started_from,
        weights_at_end=fingerprint_weights(trainer.model),
        seed=arguments.seed,
    )


def dealt_out(trainer: StageTrainer, void_flops: int) -> ParallelFacts | None:
    """How many devices shared the stage, and which part of its work each rank had; None for one device."""
    ranks, config, trace = trainer.job.ranks, trainer.job.config, trainer.trace
    if ranks.alone:
        return None
    own: list[list[Shape]] = [[] for _ in range(ranks.size)]
    left = iter(trace.shapes)
    for size in trace.micro_batches:
        for place in range(size):
            own[place % ranks.size].append(next(left))
    dealt = [
        RankFacts(
            rank=rank,
            micro_batches=len(shapes),
            pairs=sum(shape.pairs for shape in shapes),
            tokens_real=sum(shape.tokens_real for shape in shapes),
            tokens_padded=sum(shape.bucket.tokens for shape in shapes),
        )
        for rank, shapes in enumerate(own)
    ]
    return ParallelFacts(
        devices=ranks.size,
        how=config.parallel,
        ranks=dealt,
        void_micro_batches=len(trace.void),
        void_flops=void_flops,
    )


def _dtype(parameters: Sequence[torch.Tensor]) -> str:
    """What the trained weights are held in."""
    trained = next((p for p in parameters if p.requires_grad), parameters[0])
    return str(trained.dtype).removeprefix("torch.")


def _adapters(trainer: StageTrainer, spec: LoraSpec | None) -> LoraFacts | None:
    """The adapters, with the dropout that acts on them, which a trainer may have switched off."""
    if spec is None:
        return None
    return LoraFacts(**{**spec.model_dump(), "dropout": adapters_dropout(trainer.model)})


def _optimizer(arguments: Any) -> str:
    name = getattr(arguments.optim, "value", arguments.optim)
    return (
        f"{name}, betas {arguments.adam_beta1} {arguments.adam_beta2}, "
        f"weight decay {arguments.weight_decay}, gradient norm at most {arguments.max_grad_norm}"
    )


def with_run(
    facts: TrainFacts, trainer: StageTrainer, updates: UpdateFacts, unknown_ops: list[str], counted_by: str
) -> TrainFacts:
    """`facts` with what happened: first loss, probes, updates, sequences by the models' own hooks."""
    metrics = [row["metrics"] for row in trainer.trace.rows]
    probes = [row for row in metrics if "probe_pairs" in row]
    return facts.model_copy(
        update={
            "first_loss": next((row["loss"] for row in metrics if "loss" in row), None),
            "probe_first": probes[0] if probes else None,
            "probe_last": probes[-1] if probes else None,
            "sequences": _sequences(trainer),
            "updates": updates,
            "flops_unknown_ops": unknown_ops,
            "flops_counted_by": counted_by,
        }
    )


def _sequences(trainer: StageTrainer) -> SequenceFacts:
    trace, before = trainer.trace, trainer.reference_buckets(whole=False)
    trained = sum(shape.pairs for shape in trace.shapes)
    once = sum(_pairs_of(bucket) for bucket in before)
    return SequenceFacts(
        forwarded_per_pair=trace.forwarded["train"] / trained,
        with_gradient_per_pair=trace.with_gradient / trained,
        once_per_pair=trace.forwarded["reference"] / once if once else 0.0,
    )


def _pairs_of(bucket: Bucket) -> int:
    """Only methods that learn from pairs have a reference, so a batch holds two sequences a pair."""
    return bucket.batch // 2


def token_ledger(trainer: StageTrainer) -> list[Measurement]:
    """Steps, pairs and tokens of the run."""
    shapes = trainer.trace.shapes

    def entry(quantity: str, value: int, unit: Unit) -> Measurement:
        return Measurement(
            quantity=quantity, value=value, unit=unit, scope="stage", source="the trainer's batches"
        )

    return [
        entry("steps", trainer.state.global_step, "step"),
        entry("pairs", sum(shape.pairs for shape in shapes), "pair"),
        entry("tokens_real", sum(shape.tokens_real for shape in shapes), "token"),
        entry("tokens_padded", sum(s.bucket.tokens for s in shapes), "token"),
        entry("tokens_scored", sum(shape.bucket.scored for shape in shapes), "token"),
    ]
