"""What a stage records of itself for the parity audit."""

from __future__ import annotations

import json
from typing import Any

from harness.data.template import digests_of
from harness.methods import TrainJob
from harness.methods._batches import Walk
from harness.methods._load import digest_rows, fingerprint_weights
from harness.methods._order import epoch_order
from harness.records import Measurement


def prepared_facts(job: TrainJob) -> dict[str, Any]:
    """What the prepare stage found out."""
    text = (job.prepared / "result.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)["facts"]
    return facts


def audit_facts(job: TrainJob, trainer: Any, train: Any, started_from: str, walked: Walk) -> dict[str, Any]:
    """Settings as the trainer has them, data as its loader yields it, weights as they are."""
    config, arguments = job.config, trainer.args
    ids = list(train["id"])
    order = epoch_order(len(ids), job.seed, 0)
    parameters = list(trainer.model.parameters())
    return {
        "method": type(trainer).__mro__[1].__name__,
        "implementation": trainer.implementation,
        "dtype": str(parameters[0].dtype).removeprefix("torch."),
        "attention": trainer.model.config._attn_implementation,
        "optimizer": _optimizer(arguments),
        "schedule": f"{config.schedule}, warm-up {config.warmup_ratio}",
        "learning_rate": arguments.learning_rate,
        "learning_rate_source": (
            "config" if arguments.learning_rate == config.learning_rate else "library default"
        ),
        "epochs": config.epochs,
        "max_steps": config.max_steps,
        "effective_batch_pairs": config.batch_size,
        "micro_batch_pairs": arguments.per_device_train_batch_size,
        "gradient_checkpointing": bool(arguments.gradient_checkpointing),
        "tuning": "lora" if config.lora else "full",
        "lora": config.lora.model_dump() if config.lora else None,
        "quantization": config.quantization,
        "max_length": prepared_facts(job).get("max_length"),
        **digests_of(trainer.processing_class),
        "padding": walked.facts["padding"],
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "parameters": sum(p.numel() for p in parameters),
        "nll_scope": trainer.nll_scope,
        "reference": trainer.reference_mode,
        "reference_weights": trainer.reference_weights,
        "ids_in_order": digest_rows([ids[i] for i in order]),
        "batches": walked.facts,
        "weights_at_start": started_from,
        "weights_at_end": fingerprint_weights(trainer.model),
        "seed": arguments.seed,
    }


def _optimizer(arguments: Any) -> str:
    name = getattr(arguments.optim, "value", arguments.optim)
    return (
        f"{name}, betas {arguments.adam_beta1} {arguments.adam_beta2}, "
        f"weight decay {arguments.weight_decay}, gradient norm at most {arguments.max_grad_norm}"
    )


def run_facts(trainer: Any) -> dict[str, Any]:
    """What happened: first loss, probes, sequences by the models' own hooks."""
    rows = trainer.trace.rows
    probes = [r["metrics"] for r in rows if "probe_logp_chosen" in r["metrics"]]
    sequences = sequences_per_pair(trainer)
    return {
        "first_loss": next((r["metrics"]["loss"] for r in rows if "loss" in r["metrics"]), None),
        "probe_first": probes[0] if probes else None,
        "probe_last": probes[-1] if probes else None,
        "sequences": sequences,
        "sequences_forwarded_per_pair": sequences["forwarded_per_pair"],
    }


def sequences_per_pair(trainer: Any) -> dict[str, float]:
    """Forwarded in the steps, with a gradient, and once before them; all counted by hooks."""
    trace = trainer.trace
    pairs = trained_pairs(trainer)
    once = sum(trainer.pairs_of_shape(b.batch) for b in getattr(trainer, "reference_buckets", []))
    return {
        "forwarded_per_pair": trace.forwarded["train"] / pairs,
        "with_gradient_per_pair": trace.with_gradient / pairs,
        "once_per_pair": trace.forwarded["reference"] / once if once else 0.0,
    }


def trained_pairs(trainer: Any) -> int:
    """Pairs that went through the steps, those of later epochs counted again."""
    return sum(trainer.pairs_of_shape(batch) for batch, _, _ in trainer.trace.shapes)


def token_ledger(trainer: Any) -> list[Measurement]:
    """Steps, pairs and tokens of the run."""
    trace = trainer.trace

    def entry(quantity: str, value: int, unit: Any) -> Measurement:
        return Measurement(
            quantity=quantity, value=value, unit=unit, scope="stage", source="the trainer's batches"
        )

    return [
        entry("steps", trainer.state.global_step, "step"),
        entry("pairs", trained_pairs(trainer), "pair"),
        entry("tokens_real", int(sum(int(t) for t in trace.tokens_real)), "token"),
        entry("tokens_padded", trace.tokens_padded, "token"),
        entry("tokens_scored", sum(int(s) for _, _, s in trace.shapes), "token"),
    ]
