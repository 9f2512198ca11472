"""From the rehearsals to hours, memory and disk of the whole comparison."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.errors import UserError
from harness.measure.held import held_bytes
from harness.records import Plan, Prediction, ReferenceHolder, StageResult, TrainFacts
from harness.running.execute import Execution
from harness.running.fitting import print_table
from harness.running.lines import duration
from harness.running.outlook import look_ahead
from harness.running.ready import does_not_fit, predictions, rehearsed, rehearsed_scoring
from harness.running.reusable import reusable
from harness.running.room import bytes_of, check_room
from harness.running.time_left import REPORT_SECONDS
from harness.running.whole import Foretold, whole_in_words

HEADINGS = ("stage", "arms", "runs", "steps", "FLOPs a run", "seconds a run", "peak memory")


def forecast(execution: Execution, console: Console, *, report: float = REPORT_SECONDS) -> None:
    """Print what is to come, a report of so many seconds at the end; raises UserError where it does not fit
    this machine."""
    check_memory(execution)
    missing = _missing(execution)
    disk = sum(bytes_of(p) * missing[d] for d, p in predictions(execution).items())
    if sum(missing.values()):
        print_table(prediction_table(execution, missing, title="Still to run"), console)
        outlook = look_ahead(execution.plan, known_results(execution))
        told = whole_in_words(outlook, _foretold(execution, missing), report=report, now=datetime.now(UTC))
        console.print(
            f"{told} {disk / 2**30:.2f} GiB of disk. Less: --set data.limit=2000. More: --seeds 5.",
            highlight=False,
            soft_wrap=not console.is_terminal,
        )
        print_rehearsal_cost(execution, console)
    check_room(execution.root.path, disk, "the models that are still to be trained")


def _foretold(execution: Execution, runs: dict[str, int]) -> Foretold:
    """Runs of one stage share its error, those of different stages add in squares."""
    found, scoring = predictions(execution), rehearsed_scoring(execution)
    seconds = sum(runs[digest] * p.seconds for digest, p in found.items())
    half = sum((runs[digest] * (p.seconds_high - p.seconds)) ** 2 for digest, p in found.items()) ** 0.5
    cells = runs.get(execution.plan.rehearse_evaluate or "", 0)
    most = 0.0 if scoring is None else cells * scoring.most_seconds
    return Foretold(seconds, max(0.0, seconds - half), seconds + half, cells, most)


def known_results(execution: Execution) -> dict[str, StageResult]:
    """The finished stages of a plan, by this command or by earlier ones."""
    plan, root = execution.plan, execution.root
    found = {digest: execution.results.get(digest) or reusable(root, plan, digest) for digest in plan.order}
    return {digest: result for digest, result in found.items() if result is not None}


def print_rehearsal_cost(execution: Execution, console: Console) -> None:
    """What the rehearsals took, beside what they foretell; nothing of records that do not say."""
    timed = [(f, f.prediction) for f in rehearsed(execution).values() if f.seconds and f.prediction]
    lines = []
    if timed:
        spent, foretold = sum(f.seconds or 0.0 for f, _ in timed), sum(p.seconds for _, p in timed)
        counts = sorted({str(f.steps) for f, _ in timed})
        lines.append(
            f"Rehearsing training took {duration(spent)} ({' or '.join(counts)} steps a stage), "
            f"{spent / foretold:.1%} of what one run of every stage is foretold to take."
        )
    scoring = rehearsed_scoring(execution)
    if scoring is not None and scoring.seconds and scoring.most_seconds:
        cells = len(_evaluations(execution.plan))
        share = scoring.seconds / (cells * scoring.most_seconds)
        lines.append(
            f"Rehearsing scoring took {duration(scoring.seconds)}, {share:.1%} of what {cells} cells take "
            "at most."
        )
    if lines:
        console.print(" ".join(lines), highlight=False, soft_wrap=not console.is_terminal)


def _evaluations(plan: Plan) -> list[str]:
    """The stages that score: one a cell, and the base model's."""
    return [digest for digest, stage in plan.stages.items() if stage.kind == "evaluate"]


def prediction_table(execution: Execution, runs: dict[str, int], *, title: str) -> Table:
    """What each rehearsal foretold; `runs` says how often its stage is to run."""
    table = Table(title=title, title_justify="left", box=None)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("stage", "arms") else "right")
    facts = rehearsed(execution)
    for digest, prediction in predictions(execution).items():
        config = execution.plan.stages[digest].config
        low, high = prediction.seconds_low, prediction.seconds_high
        table.add_row(
            config["stage"],
            ", ".join(config["arms"]),
            str(runs[digest]),
            f"{prediction.steps:,}",
            f"{prediction.flops / 1e12:,.4g} TFLOP",
            f"{prediction.seconds:,.4g} [{low:,.4g}, {high:,.4g}]{on_devices(prediction)}",
            memory_text(prediction.peak_memory_bytes, prediction.host_growth_bytes)
            + _held_text(facts[digest].stage),
        )
    scoring, cells = rehearsed_scoring(execution), runs.get(execution.plan.rehearse_evaluate or "")
    if scoring is not None and cells is not None:
        memory = memory_text(scoring.peak_memory_bytes, scoring.host_growth_bytes)
        most = f"at most {scoring.most_seconds:,.4g}"
        table.add_row("scoring", "every cell", str(cells), "", "", most, memory)
    return table


def on_devices(prediction: Prediction) -> str:
    """How many devices a stage's seconds are of, and what that comes to; nothing of one device."""
    devices = prediction.devices
    return "" if devices == 1 else f" x {devices} = {devices * prediction.seconds:,.4g} device-seconds"


def memory_text(peak: int | None, growth: int | None) -> str:
    """VRAM on a GPU; growth of the host's memory elsewhere."""
    if peak is not None:
        return f"{peak / 2**30:.2f} GiB VRAM"
    return f"{growth / 2**30:.2f} GiB above imports" if growth is not None else "not measured"


def _held_text(stage: TrainFacts | None) -> str:
    """GiB of weights, gradients, optimizer and reference that a device holds, by formula; the rest of a peak
    is activations."""
    if stage is None or stage.precision is None or stage.trainable_parameters is None:
        return ""
    parallel = stage.parallel
    shares = parallel.devices if parallel is not None and parallel.how == "fsdp2" else 1
    held = held_bytes(
        trained=stage.trainable_parameters,
        frozen=(stage.parameters or 0) - stage.trainable_parameters,
        precision=stage.precision,
        optimizer=stage.optimizer or "",
        quantization=stage.quantization or "none",
        reference_copy=stage.reference is not None and stage.reference.holder == ReferenceHolder.COPY,
    )
    return f", {held.total / shares / 2**30:.2f} held"


def _missing(execution: Execution) -> dict[str, int]:
    """How many runs of each rehearsed stage, and of scoring, are still to come."""
    plan, root = execution.plan, execution.root
    trains = [s for d, s in plan.stages.items() if s.kind == "train" and reusable(root, plan, d) is None]
    counts = {}
    for digest in plan.rehearsals:
        job = plan.stages[digest].config["job"]
        counts[digest] = sum({k: s.config[k] for k in job} == job for s in trains)
    if plan.rehearse_evaluate is not None:
        counts[plan.rehearse_evaluate] = sum(reusable(root, plan, d) is None for d in _evaluations(plan))
    return counts


def check_memory(execution: Execution) -> None:
    """Raise UserError with the setting that fits where a rehearsal did not."""
    for digest, facts in rehearsed(execution).items():
        if does_not_fit(facts):
            raise _too_large(execution.plan.stages[digest].config)
    scoring = rehearsed_scoring(execution)
    if scoring is not None and scoring.out_of_memory:
        raise UserError("scoring does not fit into this GPU's memory", remedy=f"try {scoring.remedy}")


def _too_large(stage: dict[str, Any]) -> UserError:
    config = stage["job"]["config"]
    remedies = []
    if config["micro_batch_size"] > 1:
        remedies.append(f"--set training.micro_batch_size={config['micro_batch_size'] // 2}")
    if not config["gradient_checkpointing"]:
        remedies.append("--set training.gradient_checkpointing=true")
    if config["lora"] is None:
        if config["precision"] in ("auto", "mixed", "float32"):
            remedies.append("--set training.precision=bfloat16_stochastic")
        remedies.append("--set training.lora.r=16")
    elif config["quantization"] == "none":
        remedies.append("--set training.quantization=4bit")
    return UserError(
        f"stage {stage['stage']} does not fit into this GPU's memory",
        remedy=f"try {' or '.join(remedies) or '--set data.max_length=... (shorter)'}",
    )
