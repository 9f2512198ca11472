"""`harness plan`: what would run, in which order, and what is there already; runs nothing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.running.execute import Execution
from harness.running.forecast import check_memory, prediction_table
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot


def _print_predictions(execution: Execution, console: Console) -> None:
    """What finished rehearsals foretell, or how to have them."""
    plan, root = execution.plan, execution.root
    done = {digest: root.finished(digest) for digest in plan.rehearsals}
    execution.results.update({digest: result for digest, result in done.items() if result is not None})
    if len(execution.results) < len(done):
        console.print(
            "Not predicted yet: `harness cost` (make cost) with the same settings rehearses every "
            "stage for a few steps and predicts FLOPs, time and memory.",
            highlight=False,
        )
        return
    check_memory(execution)
    console.print(prediction_table(execution, dict.fromkeys(done, 1), title="Predicted for one run"))


def run(comparison: str | None, overrides: Overrides, *, out: Path) -> int:
    """Print the plan."""
    console = Console()
    spec = load_comparison(find_comparison(comparison, model=overrides.model), overrides)
    plan = plan_comparison(spec, resolve(spec))
    root = RunRoot(out)
    table = Table(
        title=f"{plan.id}: model {spec.model}, data {spec.data.source}", box=None, title_justify="left"
    )
    for heading in ("#", "stage", "kind", "digest", "needs", "cells", "state"):
        table.add_column(heading)
    for number, digest in enumerate(plan.order, 1):
        stage = plan.stages[digest]
        needs = ", ".join(sorted({d[:6] for d in stage.needs.values()}))
        if len(stage.needs) > 3:
            needs = f"{len(stage.needs)} stages"
        cells = sum(digest in cell.stages for cell in plan.cells)
        state = "finished: would be reused" if root.finished(digest) else "would run"
        table.add_row(
            str(number), stage.name, stage.kind, digest[:10], needs, str(cells) if cells else "", state
        )
    console.print(table)
    _print_predictions(Execution(plan, root, console, offline=True), console)
    sources = {arm.name: arm.sft_data for arm in spec.arms if arm.sft_data is not None}
    console.print(f"SFT data: {sources or 'the chosen answers of the same pairs'}", highlight=False)
    return 0
