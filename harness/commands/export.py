"""`harness export`: a cell's model as a folder that others load, scored again in the form it has there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.commands.card import RECORD, write_export
from harness.commands.view import view_of
from harness.errors import UserError
from harness.evidence.documents.card import CardParts
from harness.evidence.exported import loss_table, losses
from harness.evidence.scores import arm_score
from harness.evidence.speeds import speed_table
from harness.evidence.view import ComparisonView
from harness.forms import Form, load_form
from harness.pipeline.cells import cells_of_arm
from harness.pipeline.exported import Exported, exported, side_by_side
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.validate import validate
from harness.records import (
    ComparisonRecord,
    ExportFacts,
    ExportRecord,
    PlannedCell,
    PrepareFacts,
    SpeedFacts,
    StageResult,
)
from harness.running.execute import Asked
from harness.running.later import later
from harness.running.pushing import check_push, push
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole
from harness.tracking.mlflow import check_registering, register_export
from harness.units import plain

BEST = "best"


@dataclass(frozen=True)
class Choice:
    """The cell that is exported, and why that one."""

    cell: PlannedCell
    why: str


def run(
    run_name: str,
    *,
    arm: str,
    seed: str | None,
    to: Path,
    form_name: str,
    margin: float,
    replace: bool,
    push_to: str | None,
    public: bool,
    register: str | None,
    alias: str | None,
    out: Path,
) -> int:
    """Write and score the export, then the folder, whole or not at all; send it where that was asked for."""
    form = load_form(form_name, where="--quantize")
    if register is not None:
        check_registering(register, alias, form.name, out)
    if push_to is not None:
        check_push(push_to)
    folder = RunRoot(out).find_run(run_name)
    root, record = RunRoot(folder.parent), read_record(folder)
    view = view_of(record, root)
    choice = choose(view, arm, seed)
    _check_target(to, replace=replace)
    spec = validate(ComparisonSpec, record.plan.spec, where=lambda key: record.id)
    resolved = resolve(spec, beside=[("forms", form.name)])
    made = exported(record.plan, spec, resolved, choice.cell, str(form))
    console, new = PlainConsole(), [made.export, made.evaluate, made.speed]
    what, asked = f"export of {record.id} in {root.path}", Asked(spec, resolved)
    with later(record, root, made.plan, new, asked=asked, what=what, console=console) as at_work:
        at_work.execution.run(new)
    results = at_work.execution.results
    name = f"{choice.cell.arm} as {form}"
    both = view_of(side_by_side(record, choice.cell, made, results, name), root)
    found = losses(both, choice.cell.arm, name, margin)
    table = loss_table(both, choice.cell.arm, name, found, margin)
    facts = results[made.export].facts_as(ExportFacts)
    known = _record(record, choice, made, form, margin)
    timed = results[made.speed]
    speeds = speed_table(timed.facts_as(SpeedFacts), _device_of(timed), made.speed)
    parts = CardParts(view, known, facts, found, table, speeds)
    write_export(to, root.stage_folder(made.export) / "model", parts)
    for one in found:
        verdict = one.verdict or one.contrast.verdict.text
        value = plain(next(row[3] for row in table.rows if row[0].value == one.contrast.quantity))
        console.print(f"{one.contrast.quantity}: {value}, {verdict}", soft_wrap=True)
    console.print(f"Exported {name}, seed {choice.cell.seed} ({choice.why}) to {to}", soft_wrap=True)
    if register is not None:
        address = register_export(to, known, register, alias, root.path)
        console.print(f"Registered: {address}{f', alias {alias}' if alias else ''}", soft_wrap=True)
    if push_to is not None:
        console.print(f"Pushed: {push(to, push_to, public=public)}", soft_wrap=True)
    return 0


def _device_of(timed: StageResult) -> str:
    there = timed.environment
    return f"{there.device_name} ({there.cpu_count} cores)" if there.device == "cpu" else there.device_name


def choose(view: ComparisonView, arm: str, seed: str | None) -> Choice:
    """The arm's cell of a seed, of the first by default; `best` by the run's first score.

    Raises UserError for an arm or seed that the run has not.
    """
    cells = cells_of_arm(view.record, arm)
    if seed is None:
        first = next(iter(cells))
        return Choice(cells[first], f"the first of {len(cells)} seed(s), whatever it scored")
    if seed == BEST:
        return _best(view, arm, cells)
    if not seed.isdecimal() or int(seed) not in cells:
        known = ", ".join(map(str, cells))
        raise UserError(
            f"the run has no seed {seed} of {arm}", where="--seed", remedy=f"give best or one of: {known}"
        )
    return Choice(cells[int(seed)], "named by its number")


def _best(view: ComparisonView, arm: str, cells: dict[int, PlannedCell]) -> Choice:
    metric = next((m for m in view.metrics() if view.higher_is_better(m)), None)
    means = {
        seed: sum(table.values()) / len(table)
        for seed in cells
        if metric is not None and (table := view.items.get(f"{arm}@{seed}", {}).get(metric))
    }
    if not means or metric is None:
        raise UserError("no score chooses among the seeds", where="--seed best", remedy="name a seed")
    best = max(means, key=lambda one: means[one])
    mean = arm_score(view, arm, metric).value
    return Choice(
        cells[best],
        f"best of {len(means)} by {metric} ({means[best]:.4g}, where the arm's mean is {mean:.4g}), which "
        "favours luck: expect the mean",
    )


def _check_target(to: Path, *, replace: bool) -> None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    if not (to / RECORD).is_file():
        raise UserError("is there already and no export", where=str(to), remedy="name another folder by --to")
    if not replace:
        raise UserError(
            "holds an export", where=str(to), remedy="give --replace, or name another folder by --to"
        )


def _record(
    record: ComparisonRecord, choice: Choice, made: Exported, form: Form, margin: float
) -> ExportRecord:
    prepared = record.results[record.plan.prepare]
    facts = prepared.facts_as(PrepareFacts)
    cell = choice.cell
    stages = {record.plan.stages[digest].name: digest for digest in cell.stages}
    stages |= {"written": made.export, "scored": made.evaluate, "timed": made.speed}
    return ExportRecord(
        run=record.id,
        comparison=record.name,
        arm=cell.arm,
        seed=cell.seed,
        chosen_by=choice.why,
        form=str(form),
        model=str(record.plan.spec["model"]),
        model_revision=facts.model_revision,
        data=str(record.plan.spec["data"]["source"]),
        stages=stages,
        code=prepared.environment.git_commit,
        margin=margin,
        files={},
    )
