"""`harness plan`: what would run, in which order, and what is there already; runs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.sweep import in_words, points
from harness.pipeline.tuning_spec import TuningSpec
from harness.records import Plan
from harness.running.execute import Execution
from harness.running.fitting import print_table
from harness.running.forecast import check_memory, prediction_table
from harness.running.listing import Listing, grouped_reasons, list_stages
from harness.running.needs import every_spec
from harness.running.offline import check_needs
from harness.running.resolve import resolve
from harness.running.reusable import ran_out_of_memory
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole

STATES = {"finished": "reused", "to run": "would run", "to run again": "would run again"}


def run(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    format_name: Literal["table", "json"] = "table",
    why: bool = False,
    again: tuple[str, ...] = (),
    offline: Path | None = None,
) -> int:
    """Print the plan; as JSON with all that each stage's digest covers. `offline` as in `harness compare`."""
    path, root = find_comparison(comparison, model=overrides.model), RunRoot(out)
    spec = load_comparison(path, overrides)
    if offline is not None:
        check_needs(every_spec(path, overrides), offline)
    if spec.sweep and format_name == "table":
        print_table(_points_table(path, spec, overrides, root), PlainConsole())
        return 0
    plan = plan_comparison(spec, resolve(spec))
    listing = list_stages(plan, root, again=again, why=why)
    if format_name == "json":
        print(listing.model_dump_json(indent=1))
        return 0
    console = PlainConsole()
    print_table(_table(plan, listing, spec), console)
    if spec.tuning is not None:
        console.print(_tuning_in_words(spec.tuning, len(spec.arms)), highlight=False, soft_wrap=True)
    if why:
        _print_reasons(listing, console)
    _print_predictions(Execution(plan, root, (), offline=True), console)
    sources = {arm.name: arm.sft_data for arm in spec.arms if arm.sft_data is not None}
    console.print(f"SFT data: {sources or 'the chosen answers of the same pairs'}", highlight=False)
    return 0


def _points_table(path: Path, spec: ComparisonSpec, overrides: Overrides, root: RunRoot) -> Table:
    """A row a point of a sweep: its run, its stages, how many earlier points have, and how many exist."""
    table = Table(title=f"{spec.name}: a sweep", box=None, title_justify="left")
    for heading in ("point", "run", "stages", "shared with points above", "finished"):
        table.add_column(heading)
    seen: set[str] = set()
    for point in points(spec.sweep):
        at = load_comparison(path, replace(overrides, point=point))
        plan = plan_comparison(at, resolve(at))
        finished = sum(stage.state == "finished" for stage in list_stages(plan, root).stages)
        shared = sum(digest in seen for digest in plan.order)
        table.add_row(in_words(point), plan.id, *map(str, (len(plan.order), shared, finished)))
        seen.update(plan.order)
    return table


def _table(plan: Plan, listing: Listing, spec: ComparisonSpec) -> Table:
    table = Table(
        title=f"{plan.id}: model {spec.model}, data {spec.data.source}", box=None, title_justify="left"
    )
    for heading in ("#", "stage", "kind", "digest", "needs", "cells", "state"):
        table.add_column(heading)
    for number, stage in enumerate(listing.stages, 1):
        needs = ", ".join(sorted({d[:6] for d in stage.needs.values()}))
        if len(stage.needs) > 3:
            needs = f"{len(stage.needs)} stages"
        cells = sum(stage.digest in cell.stages for cell in plan.cells)
        table.add_row(
            str(number),
            stage.name,
            stage.kind.partition("_")[0],
            stage.digest[:10],
            needs,
            str(cells) if cells else "",
            STATES[stage.state],
        )
    return table


def _tuning_in_words(tuning: TuningSpec, arms: int) -> str:
    """What runs before the stages that are listed, which stand there with the settings of the file."""
    amount = int(tuning.budget.amount)
    counted = f" ({arms * amount} trials in all)" if tuning.budget.axis == "trials" else ""
    return f"Before them, settings are searched for: {tuning.in_words()}{counted}."


def _print_reasons(listing: Listing, console: Console) -> None:
    """Why each stage would run, those with the same reasons together."""
    console.print("Changed since the newest finished stage of each name:", highlight=False)
    for reasons, names in grouped_reasons(listing).items():
        console.print(f"{', '.join(names)}:", style="bold", highlight=False)
        for line in reasons:
            console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)


def _print_predictions(execution: Execution, console: Console) -> None:
    """What finished rehearsals foretell, or how to have them."""
    plan, root = execution.plan, execution.root
    scoring = [plan.rehearse_evaluate] if plan.rehearse_evaluate else []
    done = {digest: root.finished(digest) for digest in [*plan.rehearsals, *scoring]}
    execution.results.update({digest: result for digest, result in done.items() if result is not None})
    full = [result.name for result in execution.results.values() if ran_out_of_memory(result)]
    if full:
        console.print(
            f"Did not fit into the device's memory last time: {', '.join(full)}. It is tried again when "
            "the comparison runs.",
            highlight=False,
        )
        return
    if len(execution.results) < len(done):
        console.print(
            "Not predicted yet: `harness cost` (make cost) with the same settings rehearses every "
            "stage for a few steps and predicts FLOPs, time and memory.",
            highlight=False,
        )
        return
    check_memory(execution)
    print_table(prediction_table(execution, dict.fromkeys(done, 1), title="Predicted for one run"), console)
