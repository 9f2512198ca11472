"""`harness plan --devices`: what a comparison should take on several devices, or a finished run would
have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from harness.commands.cost import rate_of
from harness.errors import UserError
from harness.measure.factors import Factors
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.records import Plan
from harness.running.again import to_run_again
from harness.running.execute import Execution
from harness.running.fitting import print_table
from harness.running.fleets import fleets_of, in_words
from harness.running.forecast import known_results
from harness.running.resolve import resolve
from harness.running.schedule import Schedule, critical_path, schedule
from harness.running.schedule_shown import (
    Watts,
    around_in_words,
    joules_of,
    path_in_words,
    phases_table,
    schedules_table,
    sources_in_words,
    units_table,
)
from harness.running.unit_seconds import Work, foretold, taken, watts
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole

COST_FIRST = (
    "So there is no schedule yet: `harness cost` (make cost) with the same settings rehearses every stage "
    "for a few steps."
)


def run(
    name: str | None,
    overrides: Overrides,
    *,
    devices: str,
    out: Path,
    format_name: Literal["table", "json"] = "table",
    again: tuple[str, ...] = (),
    peak_tflops: float | None = None,
    mfu: float | None = None,
) -> int:
    """Print a schedule for every fleet of `devices`; `name` is a comparison, or a finished run that is played
    through again. With `peak_tflops` and `mfu` (TFLOP/s, share) training takes its FLOPs at that rate."""
    fleets, flops_per_second = fleets_of(devices), rate_of(peak_tflops, mfu)
    finished = _finished(name, out)
    if finished is not None:
        if flops_per_second is not None or again or overrides != Overrides():
            raise UserError(
                f"{name} is a finished run, whose stages took what they took",
                where="--devices",
                remedy="leave out what changes settings, or name the comparison's file",
            )
        record = read_record(finished)
        plan, work, power = record.plan, taken(record), watts(record.results)
        title = f"{plan.id}, a finished run played through again"
    else:
        plan, work, power = _foretold(name, overrides, out, again, flops_per_second)
        title = f"{plan.id}: {len(work.units)} unit(s) to run"
    found = [schedule(work.tasks(fleet), fleet) for fleet in fleets]
    if format_name == "json":
        print(json.dumps(_as_json(plan, work, found, power), indent=1))
        return 0
    _print(title, plan, work, found, power)
    return 0


def _finished(name: str | None, out: Path) -> Path | None:
    """The folder of the run of this name, None where it is no finished run's."""
    if name is None:
        return None
    folders = (out / name, Path(name))
    return next((folder for folder in folders if (folder / "record.json").is_file()), None)


def _foretold(
    name: str | None,
    overrides: Overrides,
    out: Path,
    again: tuple[str, ...],
    flops_per_second: float | None,
) -> tuple[Plan, Work, Watts]:
    spec = load_comparison(find_comparison(name, model=overrides.model), overrides)
    plan = plan_comparison(spec, resolve(spec))
    results = known_results(Execution(plan, RunRoot(out), (), offline=True))
    power = watts(results) if flops_per_second is None else (None, "another device than rehearsed")
    for digest in to_run_again(plan, again):
        results.pop(digest, None)
    return plan, foretold(plan, results, flops_per_second=flops_per_second), power


def _print(title: str, plan: Plan, work: Work, found: Sequence[Schedule], power: Watts) -> None:
    console, units = PlainConsole(), work.units
    console.print(title, highlight=False)
    if not units:
        console.print("All of it is finished.", highlight=False)
        return
    if not any(unit.seconds for unit in units):
        for line in (sources_in_words(units), COST_FIRST):
            console.print(line, highlight=False, soft_wrap=not console.is_terminal)
        return
    factors = Factors(**{k: v for k, v in (plan.spec.get("factors") or {}).items() if v is not None})
    print_table(schedules_table(found, factors, power), console)
    lines = [
        path_in_words(work.tasks(found[-1].fleet)),
        sources_in_words(units),
        around_in_words(work.around),
    ]
    if plan.spec.get("tuning"):
        lines.append("The search for settings comes before, and is not part of it.")
    if power[0] is not None:
        lines.append(f"Energy at {power[0]:,.4g} W, the mean power of {power[1]}.")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    for one in found:
        print_table(phases_table(one), console)
        if (listed := units_table(one)) is not None:
            print_table(listed, console)


def _as_json(plan: Plan, work: Work, found: Sequence[Schedule], power: Watts) -> dict[str, Any]:
    """All of it: seconds and source of every stage, and every unit's place in every fleet."""
    return {
        "id": plan.id,
        "units": [
            {
                "unit": unit.unit.name,
                "phase": unit.unit.phase,
                "seconds": unit.seconds,
                "stages": [
                    {"stage": stage, "seconds": seconds, "source": source}
                    for stage, seconds, source in unit.stages
                ],
            }
            for unit in work.units
        ],
        "around": asdict(work.around),
        "longest_chain": [task.name for task in critical_path(work.tasks(found[-1].fleet))],
        "watts": power[0],
        "schedules": [
            {
                "devices": in_words(one.fleet),
                "seconds": one.makespan,
                "least_seconds": one.least,
                "device_seconds_in_use": one.busy,
                "device_seconds_held": one.held,
                "joules": joules_of(one, power),
                "unknown": list(one.unknown),
                "units": [
                    {
                        "unit": placed.task.name,
                        "device": None if placed.device is None else placed.device + 1,
                        "begins": placed.begins,
                        "ends": placed.ends,
                    }
                    for placed in one.placed
                ],
            }
            for one in found
        ],
    }
