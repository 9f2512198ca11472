"""What is looked at once, before training: every benchmark's own needs, the disk, the device's peak rate.

A missing key or an unreachable data set fails here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.benchmarks import AsksPrompts, CheckContext
from harness.measure import device
from harness.measure.utilisation import device_peaks
from harness.records import CheckFacts, StageRequest
from harness.stages.context import Context, Outcome
from harness.stages.evaluate import benchmarks_of


def warm_up(request: StageRequest) -> str:
    """Import torch, which the device's rate is measured with."""
    return device.kind()


def run(context: Context) -> Outcome:
    """Check the benchmarks, note the room on the disk, and measure what MFU is a share of."""
    facts = context.prepared_facts()
    arms = tuple(context.request.config["arms"])
    checks = CheckContext(context.prepared, str(facts.model_path), facts.random_weights, arms)
    known = train_prompts(context.prepared)
    overlap = {}
    for name, module, config in benchmarks_of(context):
        module.check(config, checks)
        if isinstance(module, AsksPrompts):
            asked = module.prompts(config, context.prepared)
            overlap[name] = sum(json.dumps(prompt.messages) in known for prompt in asked)
    return Outcome(
        facts=CheckFacts(
            free_disk_bytes=shutil.disk_usage(context.folder).free,
            benchmark_prompts_in_train=overlap,
            peaks=device_peaks(),
        )
    )


def train_prompts(prepared: Path) -> set[str]:
    """Every training prompt as the prepare stage wrote it: messages as JSON."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(prepared / "train.parquet", columns=["prompt"])
    return set(table.column("prompt").to_pylist())
