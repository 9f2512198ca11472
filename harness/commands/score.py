"""`harness score`: more scores for a finished run; nothing is trained, old scores stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.commands import report as report_command
from harness.commands.closing import print_closing
from harness.errors import UserError
from harness.pipeline.load import benchmark_config
from harness.pipeline.no_secrets import check_no_secrets
from harness.pipeline.overrides import set_field
from harness.pipeline.rescore import rescored
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.spec_model import plain_name
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import KeyPath
from harness.records import ComparisonRecord
from harness.running.execute import Asked
from harness.running.later import later
from harness.running.neighbours import print_neighbours
from harness.running.queues import write as write_tracker
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot, read_record, scores_by_cell
from harness.terminal import PlainConsole
from harness.tracking import check_installed


def run(
    run_name: str,
    *,
    benchmarks: Sequence[str],
    judge: str | None,
    label: str | None,
    sets: Sequence[str],
    out: Path,
    mlflow: bool,
) -> int:
    """Score the run's cells by `benchmarks` as well, and render its report again."""
    check_installed(["mlflow"] if mlflow else [])
    console = PlainConsole()
    folder = RunRoot(out).find_run(run_name)
    root, record = RunRoot(folder.parent), read_record(folder)
    if record.plan.spec.get("replayed"):
        raise UserError(
            "was replayed, so there is no model to score",
            where=str(folder),
            remedy="score a run that `harness compare` made",
        )
    spec = _spec(record, benchmarks, judge, sets)
    label = _label(record, benchmarks) if label is None and judge is None else label or judge or ""
    _check_label(record, benchmarks, label)
    # Mistakes in the settings are told at once, also while another comparison holds the device.
    resolved = resolve(spec)
    longer = rescored(record.plan, spec, resolved, label)
    what = f"scoring of {record.id} in {root.path}"
    asked = Asked(spec, resolved)
    with later(record, root, longer.plan, longer.new, asked=asked, what=what, console=console) as at_work:
        print_neighbours(console)
        execution = at_work.execution
        execution.run(longer.new)
        kept = ("parity", "command", "failed", "missing")
        scored = execution.record().model_copy(update={name: getattr(record, name) for name in kept})
        with at_work.showing.report():
            root.write_record(scored)
            written = report_command.write(scored, root)
            if mlflow:
                write_tracker("mlflow", scored, root, written, console)
    print_closing(written, console)
    return 0


def _spec(
    record: ComparisonRecord, benchmarks: Sequence[str], judge: str | None, sets: Sequence[str]
) -> ComparisonSpec:
    """The run's own settings with other benchmarks; raises UserError for a mistake in them."""
    for name in benchmarks:
        registry.check("benchmarks", name, where="--benchmark")
    data: dict[str, Any] = {**record.plan.spec, "score": list(benchmarks)}
    flags: dict[KeyPath, str] = {}
    for name in benchmarks if judge is not None else []:
        registry.check("judges", judge or "", where="--judge")
        for text in (f"benchmarks.{name}.judge={judge}", f"benchmarks.{name}.judge_config={{}}"):
            flags[set_field(data, text)] = "--judge"
    for text in sets:
        key = set_field(data, text)
        flags[key] = f"--set {'.'.join(key)}"

    def where(key: KeyPath) -> str | None:
        return next((flag for path, flag in flags.items() if path[: len(key)] == key[: len(path)]), record.id)

    spec = validate(ComparisonSpec, data, where=where)
    check_no_secrets(spec)
    for name in benchmarks:
        benchmark_config(spec, name, where=where)
    return spec


def _check_label(record: ComparisonRecord, benchmarks: Sequence[str], label: str | None) -> None:
    """Raise UserError for a name that no file can bear, or that some score of the run has already."""
    if label is None:
        return
    try:
        plain_name(label)
    except ValueError as error:
        fact, _, remedy = str(error).partition("; ")
        raise UserError(fact, where="--as", remedy=remedy) from None
    taken = {score.benchmark for _, _, score in scores_by_cell(record)}
    for name in benchmarks:
        if any(
            t == f"{name}@{label}" or (t.startswith(f"{name}/") and t.endswith(f"@{label}")) for t in taken
        ):
            raise UserError(
                f"{name}@{label} was scored already, and old scores stay",
                where=record.id,
                remedy="give the new scores a name of their own by --as",
            )


def _label(record: ComparisonRecord, benchmarks: Sequence[str]) -> str | None:
    """None for benchmarks that the run has no scores of; else a number that tells them apart."""
    if not set(benchmarks) & set(record.plan.spec.get("score") or []):
        return None
    return str(len(record.plan.base_more) + 2)
