"""Two steps of every training stage on its longest batch, and every benchmark's own checks.

What would fail after a day of training fails here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness import registry
from harness.benchmarks import CheckContext
from harness.measure.window import Window
from harness.stages.context import Context, Outcome
from harness.stages.evaluate import benchmarks_of
from harness.stages.train import make_job
from harness.stages.train import warm_up as warm_up

STEPS = 2


def run(context: Context) -> Outcome:
    """Check the benchmarks, then rehearse each job; facts hold one entry a job."""
    facts = context.prepared_facts()
    arms = tuple(context.request.config.get("arms", ()))
    checks = CheckContext(context.prepared, str(facts["model_path"]), facts["random_weights"], arms)
    for _, module, config in benchmarks_of(context):
        module.check(config, checks)
    jobs = context.request.config["jobs"]
    rehearsed = []
    for number, config in enumerate(jobs):
        context.report(number, len(jobs), {})
        rehearsed.append(_rehearse(context, config))
    return Outcome(facts={"jobs": rehearsed, "free_disk_bytes": shutil.disk_usage(context.folder).free})


def _rehearse(context: Context, config: dict[str, Any]) -> dict[str, Any]:
    """One job's figures, or why it does not fit."""
    import torch

    folder = Path(context.folder) / "rehearsal"
    folder.mkdir(exist_ok=True)
    job = make_job(context, config, folder)
    job = type(job)(**{**job.__dict__, "window": Window(), "trained": lambda: None})
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    entry: dict[str, Any] = {"method": config["method"], "config": config}
    try:
        entry |= registry.load("methods", config["method"]).rehearse(job, STEPS)
    except torch.cuda.OutOfMemoryError:
        entry["out_of_memory"] = True
    if on_gpu:
        entry["peak_bytes"] = torch.cuda.max_memory_allocated()
        entry["device_bytes"] = torch.cuda.get_device_properties(0).total_memory
    shutil.rmtree(folder, ignore_errors=True)
    return entry
