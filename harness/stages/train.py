"""One training stage: from a request to the trainer, and what it found."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.measure import device
from harness.methods import load_method
from harness.records import EndRule, Implementation, StageRequest, StageResult
from harness.stages.context import Context, Outcome, read_result
from harness.stages.shares import with_shares

COUNTS = Path("cache") / "flops"
"""Where counts of steps are kept, in the run root."""
REFERENCES = Path("cache") / "reference"
"""Where log-probs of references are kept, in the run root."""
NOT_OF_A_STEP = ("scipy",)
"""Packages that a rehearsal reaches for its forecast."""

if TYPE_CHECKING:
    from harness.training.job import ReferenceCache, TrainJob


def warm_up(request: StageRequest) -> str:
    """Import the training libraries, so that their seconds and memory count as start-up; TRL's too where the
    stage trains by its trainer."""
    import harness.training.run  # noqa: F401
    from harness.generate.load import ready_to_load
    from harness.training.build import STOCK_ROOM

    ready_to_load()
    job = request.config.get("job", request.config)
    if job["config"].get("implementation") == Implementation.STOCK:
        importlib.import_module(f"{STOCK_ROOM}.{job['method']}")
    return device.kind()


def run(context: Context) -> Outcome:
    """Train, save `model/` and `steps.jsonl`, and return the ledger and facts."""
    from harness.training.run import take_part, train

    job = make_job(context, context.request.config, context.folder)
    if not context.ranks.first:
        return Outcome(facts=take_part(job))
    outcome = train(job)
    facts = outcome.facts
    if facts.parallel is not None:
        facts = facts.model_copy(update={"parallel": with_shares(facts.parallel, context.shares)})
    return Outcome(
        ledger=outcome.ledger,
        facts=facts,
        notes=outcome.notes,
        kept_seconds=outcome.kept_seconds,
        outputs={"model": "model", "steps": "steps.jsonl"},
    )


def _beyond_harness(request: StageRequest) -> str:
    """What the FLOPs of a step depend on beside settings, model and this package."""
    covers = request.covers
    if covers is None:
        return ""
    code = {file: digest for file, digest in covers.code.items() if not file.startswith("harness/")}
    return json.dumps([code, _machine(request)], sort_keys=True)


def _machine(request: StageRequest) -> str:
    """Packages, variables and device: alike in a stage and in its rehearsal, which reaches more."""
    covers = request.covers
    if covers is None:
        return ""
    packages = {name: version for name, version in covers.packages.items() if name not in NOT_OF_A_STEP}
    return json.dumps([packages, covers.environment, covers.device], sort_keys=True)


def _references(context: Context) -> ReferenceCache:
    """Where the stage finds log-probs that another one scored; a method's own code scores none."""
    from harness.training.job import ReferenceCache

    request, stages = context.request, context.folder.parent
    return ReferenceCache(
        folder=stages.parent / REFERENCES,
        digest=request.digest,
        name=request.name,
        attempt=request.attempt,
        origin=_origin(context),
        repeat=request.config.get("repeat", 0),
        depends_on=_machine(request),
        finished=lambda digest: _result_in(stages / digest),
        anew=request.anew,
    )


def _origin(context: Context) -> str:
    """Whose weights the stage starts from: those of an attempt of the stage before, or of the base model."""
    if "model" in context.request.inputs:
        before = read_result(Path(context.request.inputs["model"]))
        return f"{before.digest} {before.attempt}"
    facts = context.prepared_facts()
    return f"{facts.model_digest} {facts.model_revision}"


def _result_in(folder: Path) -> StageResult | None:
    """None for a stage that is not there, not finished or damaged."""
    try:
        return read_result(folder)
    except (OSError, ValueError):
        return None


def make_job(context: Context, config: dict[str, Any], out: Path) -> TrainJob:
    """The TrainJob for `config`, which names the method and holds its settings."""
    from harness.training.job import TrainJob

    facts = context.prepared_facts()
    sft_data, reward = config.get("sft_data"), context.request.inputs.get("reward_model")
    return TrainJob(
        method=config["method"],
        config=load_method(config["method"]).Config.model_validate(config["config"]),
        seed=context.request.seed,
        prepared=context.prepared,
        facts=facts,
        model=context.model_path(),
        revision=facts.model_revision if "model" not in context.request.inputs else None,
        out=out,
        window=context.window,
        report=context.report,
        sft_data=context.prepared / f"sft_{sft_data}.parquet" if sft_data else None,
        trained=context.stop_meters,
        checkpoint_seconds=context.request.checkpoint_seconds,
        counts_folder=context.folder.parent.parent / COUNTS,
        counts_depend_on=_beyond_harness(context.request),
        references=_references(context),
        reward_model=str(Path(reward) / "model") if reward is not None else None,
        ends=EndRule.model_validate(config["end_early"]) if "end_early" in config else None,
        ranks=context.ranks,
    )
