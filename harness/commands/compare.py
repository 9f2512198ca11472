"""`harness compare`: plan, prepare, rehearse, train, score, record, report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.commands import report as report_command
from harness.commands.execute import Execution
from harness.commands.forecast import forecast
from harness.commands.resolve import is_local, resolve
from harness.pipeline.load import Overrides, find_comparison, load_comparison
from harness.pipeline.plan import plan_comparison
from harness.store.run_dir import RunRoot


def run(comparison: str | None, overrides: Overrides, *, out: Path, mlflow: bool = True) -> int:
    """Run a comparison; returns 0, raises what the command line turns into exit codes."""
    console = Console()
    spec = load_comparison(find_comparison(comparison, model=overrides.model), overrides)
    root = RunRoot(out)
    root.open_for_writing()
    plan = plan_comparison(spec, resolve(spec))
    console.print(
        f"{plan.id}: arms {', '.join(a.name for a in spec.arms)}; seeds "
        f"{', '.join(map(str, spec.seeds))}; {len(plan.order)} stages in {out}",
        highlight=False,
    )
    with root.lock():
        execution = Execution(plan, root, console, offline=is_local(spec))
        execution.run(plan.order[:2])
        forecast(plan, execution.results[plan.order[1]], root, console)
        execution.run(plan.order[2:])
        record = execution.record()
        root.write_record(record)
        folder = report_command.write(record, root)
        if mlflow:
            report_command.project(record, root, folder, console)
    report_command.print_summary(folder, console)
    return 0
