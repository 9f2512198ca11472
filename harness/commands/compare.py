"""`harness compare`: make ready, train, audit, score, record, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.commands import report as report_command
from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.registration import file_digest
from harness.pipeline.rescore import with_earlier_scores
from harness.records import ComparisonRecord
from harness.running.again import Again
from harness.running.execute import Execution
from harness.running.forecast import forecast
from harness.running.ready import audit_now, check_parity, make_ready
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot


def run(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    mlflow: bool = True,
    again: Sequence[str] = (),
) -> int:
    """Run a comparison and print the report's first page; returns 0, raises what becomes an exit code."""
    console = Console()
    record = run_comparison(comparison, overrides, out=out, console=console, mlflow=mlflow, again=again)
    report_command.print_summary(RunRoot(out).run_folder(record.id) / "report", console)
    return 0


def run_comparison(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    console: Console,
    mlflow: bool = True,
    again: Sequence[str] = (),
    command: str | None = None,
) -> ComparisonRecord:
    """Run a comparison and write its record and report; `console` hears how far it is.

    `again` names finished stages that run once more, with all that is made from them. `command` is what
    asked for it, where that was not the command line.
    """
    path = find_comparison(comparison, model=overrides.model)
    # Mistakes in the settings are told at once, also while another comparison holds the device.
    resolve(load_comparison(path, overrides))
    root = RunRoot(out)
    root.open_for_writing()
    with root.lock(), GpuLock(device_identity()), Again(root, again, console) as chosen:
        execution = make_ready(path, overrides, root, console, again=chosen)
        forecast(execution, console)
        check_parity(audit_now(execution))
        _train_and_score(execution)
        record = with_earlier_scores(execution.record(), root.earlier(execution.plan.id))
        asked = {"file": str(path.resolve()), "file_digest": file_digest(path)}
        record = record.model_copy(update=asked | ({"command": command} if command else {}))
        root.write_record(record)
        folder = report_command.write(record, root)
        if mlflow:
            report_command.project(record, root, folder, console)
    return record


def _train_and_score(execution: Execution) -> None:
    """What training shows to be unequal stops the run before anything is scored."""
    plan = execution.plan
    rest = [digest for digest in plan.order if digest not in execution.results]
    training = [digest for digest in rest if plan.stages[digest].kind == "train"]
    execution.run(training)
    check_parity(execution.audit())
    execution.run([digest for digest in rest if digest not in training])
