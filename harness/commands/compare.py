"""`harness compare`: plan, prepare, rehearse, train, score, record, report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.commands import report as report_command
from harness.commands.execute import Execution
from harness.commands.forecast import does_not_fit, forecast
from harness.commands.resolve import is_local, resolve
from harness.pipeline.load import Overrides, find_comparison, load_comparison
from harness.pipeline.plan import plan_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.store.run_dir import RunRoot


def run(comparison: str | None, overrides: Overrides, *, out: Path, mlflow: bool = True) -> int:
    """Run a comparison; returns 0, raises what the command line turns into exit codes."""
    console = Console()
    path = find_comparison(comparison, model=overrides.model)
    spec = load_comparison(path, overrides)
    root = RunRoot(out)
    root.open_for_writing()
    with root.lock():
        execution = _rehearsed(spec, root, console)
        if spec.if_too_large is not None and _too_large(execution):
            console.print(
                "This does not fit the GPU: every arm trains by if_too_large instead "
                f"({path.name}). Rehearsing again.",
                highlight=False,
            )
            execution = _rehearsed(load_comparison(path, overrides, too_large=True), root, console)
        plan = execution.plan
        forecast(plan, execution.results[plan.order[1]], root, console)
        execution.run(plan.order[2:])
        record = execution.record()
        root.write_record(record)
        folder = report_command.write(record, root)
        if mlflow:
            report_command.project(record, root, folder, console)
    report_command.print_summary(folder, console)
    return 0


def _rehearsed(spec: ComparisonSpec, root: RunRoot, console: Console) -> Execution:
    """The comparison with its data prepared and its stages rehearsed."""
    plan = plan_comparison(spec, resolve(spec))
    console.print(
        f"{plan.id}: arms {', '.join(a.name for a in spec.arms)}; seeds "
        f"{', '.join(map(str, spec.seeds))}; {len(plan.order)} stages in {root.path}",
        highlight=False,
    )
    execution = Execution(plan, root, console, offline=is_local(spec))
    execution.run(plan.order[:2])
    return execution


def _too_large(execution: Execution) -> bool:
    rehearsal = execution.results[execution.plan.order[1]]
    return any(does_not_fit(job) for job in rehearsal.facts["jobs"])
