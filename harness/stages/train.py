"""One training stage: hand the job to its method and keep what the method found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import registry
from harness.records import StageRequest
from harness.stages.context import Context, Outcome


def warm_up(request: StageRequest) -> str:
    """Import the training libraries, so that their seconds and memory count as start-up."""
    import torch

    import harness.methods._engine  # noqa: F401

    return "cuda" if torch.cuda.is_available() else "cpu"


def run(context: Context) -> Outcome:
    """Train, save `model/` and `steps.jsonl`, and return the method's ledger and facts."""
    job = make_job(context, context.request.config, context.folder)
    method = registry.load("methods", context.request.config["method"])
    outcome = method.train(job)
    return Outcome(
        ledger=outcome.ledger,
        facts=outcome.facts,
        notes=outcome.notes,
        outputs={"model": "model", "steps": "steps.jsonl"},
    )


def make_job(context: Context, config: dict[str, Any], out: Path) -> Any:
    """The method's TrainJob for `config`, which names the method and holds its settings."""
    from harness.methods import TrainJob

    method = registry.load("methods", config["method"])
    facts = context.prepared_facts()
    sft_data = config.get("sft_data")
    return TrainJob(
        config=method.Config.model_validate(config["config"]),
        seed=context.request.seed,
        prepared=context.prepared,
        model=context.model_path(),
        revision=facts.get("model_revision") if "model" not in context.request.inputs else None,
        out=out,
        window=context.window,
        report=context.report,
        sft_data=context.prepared / f"sft_{sft_data}.parquet" if sft_data else None,
        trained=context.stop_meters,
    )
