"""From two rehearsed steps to hours, memory and disk of the whole comparison."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from harness.errors import UserError
from harness.records import Plan, StageResult
from harness.store.run_dir import RunRoot

CHECKPOINT_ROOM = 1.1
MEMORY_SHARE = 0.97


def forecast(plan: Plan, rehearsal: StageResult, root: RunRoot, console: Console) -> None:
    """Print what is to come; raises UserError where it does not fit this machine."""
    jobs: list[dict[str, Any]] = rehearsal.facts["jobs"]
    missing = [
        plan.stages[d] for d in plan.order if plan.stages[d].kind == "train" and root.finished(d) is None
    ]
    table = Table(title="Still to train", title_justify="left", box=None)
    for heading in ("stage", "runs", "steps", "seconds a step", "hours at most", "peak memory"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    hours = bytes_needed = 0.0
    for job in jobs:
        runs = [s for s in missing if s.config == job["config"]]
        if does_not_fit(job):
            raise _too_large(job)
        scaled = job["step_seconds"] * job["steps"] * len(runs) / 3600
        hours += scaled
        bytes_needed += job["checkpoint_bytes"] * len(runs) * CHECKPOINT_ROOM
        peak = f"{job['peak_bytes'] / 2**30:.1f} GiB" if "peak_bytes" in job else "not on a GPU"
        table.add_row(
            job["method"],
            str(len(runs)),
            f"{job['steps']:,}",
            f"{job['step_seconds']:.2f}",
            f"{scaled:.2f}",
            peak,
        )
    if missing:
        console.print(table)
        console.print(
            f"At most {hours:.2f} h of training (as if every batch were the longest) and "
            f"{bytes_needed / 2**30:.2f} GiB of disk. Less: --set data.limit=2000. "
            "More: --seeds 5.",
            highlight=False,
        )
    free = rehearsal.facts["free_disk_bytes"]
    if bytes_needed > free:
        raise UserError(
            f"the models of this comparison need {bytes_needed / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free",
            where=str(root.path),
            remedy="free some, give another folder by --out, use fewer --seeds or LoRA "
            "(--set training.lora.r=16)",
        )


def does_not_fit(job: dict[str, Any]) -> bool:
    """Whether a rehearsed job ran out of the GPU's memory, or left none to spare."""
    if job.get("out_of_memory"):
        return True
    return "peak_bytes" in job and job["peak_bytes"] > MEMORY_SHARE * job["device_bytes"]


def _too_large(job: dict[str, Any]) -> UserError:
    config = job["config"]["config"]
    remedies = []
    if config["micro_batch_size"] > 1:
        remedies.append(f"--set training.micro_batch_size={config['micro_batch_size'] // 2}")
    if not config["gradient_checkpointing"]:
        remedies.append("--set training.gradient_checkpointing=true")
    if config["lora"] is None:
        remedies.append("--set training.lora.r=16")
    elif config["quantization"] == "none":
        remedies.append("--set training.quantization=4bit")
    return UserError(
        f"stage {job['method']} does not fit into this GPU's memory",
        remedy=f"try {' or '.join(remedies) or '--set data.max_length=... (shorter)'}",
    )
