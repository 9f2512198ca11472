"""`harness cost`: what every arm and scoring will cost, from a few steps of every stage; trains nothing
else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from harness.errors import UserError
from harness.measure.environment import device_identities
from harness.measure.gpu_lock import locked
from harness.pipeline.load import find_comparison, load_comparison, most_devices
from harness.pipeline.overrides import Overrides
from harness.records import Plan, Prediction, RehearseFacts
from harness.running.execute import Execution
from harness.running.fitting import print_table
from harness.running.forecast import check_memory, memory_text, prediction_table, print_rehearsal_cost
from harness.running.neighbours import print_neighbours
from harness.running.ready import audit_now, make_ready, predictions, rehearsed, rehearsed_scoring
from harness.running.resolve import resolve
from harness.running.showing import Showing
from harness.stages.starting import ForkServer
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole

MEMORY = ("peak_memory_bytes", "host_growth_bytes")


def run(
    comparison: str | None, overrides: Overrides, *, out: Path, peak_tflops: float | None, mfu: float | None
) -> int:
    """Prepare, rehearse, and print the cost table; `cost.json` stands in the run's folder."""
    rate = rate_of(peak_tflops, mfu)
    console = PlainConsole()
    path = find_comparison(comparison, model=overrides.model)
    # Mistakes in the settings are told at once, also while another comparison holds the device.
    spec = load_comparison(path, overrides)
    resolve(spec)
    root = RunRoot(out)
    root.open_for_writing()
    what = f"forecast of {spec.name} in {root.path.resolve()}"
    with root.lock(what), locked(device_identities(most_devices(spec)), what=what), ForkServer() as starter:
        print_neighbours(console)
        showing = Showing(root, console, file=False)
        execution = make_ready(
            path, overrides, root, console, checks=False, watch=showing.watch, starter=starter
        )
    check_memory(execution)
    plan = execution.plan
    print_table(prediction_table(execution, _runs(plan), title="One run of every stage"), console)
    print_rehearsal_cost(execution, console)
    arms = arm_costs(plan, predictions(execution), reference=str(plan.spec["cost_reference"]))
    print_table(_arm_table(arms, rate), console)
    unequal = [c for c in audit_now(execution) if c.equal is False]
    for check in unequal:
        console.print(f"Not equal: {check.check}: {check.detail}", style="yellow", highlight=False)
    print(_write(execution, arms))
    return 0


def rate_of(peak_tflops: float | None, mfu: float | None) -> float | None:
    """FLOP/s that a device reaches of its peak; None where neither is given, UserError for one alone."""
    if peak_tflops is not None and mfu is not None:
        return peak_tflops * 1e12 * mfu
    if peak_tflops is None and mfu is None:
        return None
    given, other = ("--mfu", "--peak-tflops") if peak_tflops is None else ("--peak-tflops", "--mfu")
    raise UserError(f"given without {other}", where=given, remedy="give both, or neither")


def arm_costs(plan: Plan, found: Mapping[str, Prediction], *, reference: str) -> dict[str, dict[str, Any]]:
    """Each arm's predicted totals at one seed: sums over its stages, of memory the maximum. Seconds are those
    of all devices of a stage.

    The stages' intervals are taken as independent, so their half-widths add in squares.
    """
    arms: dict[str, dict[str, Any]] = {}
    for digest, prediction in found.items():
        for arm in plan.stages[digest].config["arms"]:
            total = arms.setdefault(
                arm,
                {"seconds": 0.0, "variance": 0.0, "flops": 0, "memory": {}, "stages": [], "devices": 1},
            )
            total["seconds"] += prediction.devices * prediction.seconds
            half = prediction.devices * (prediction.seconds_high - prediction.seconds)
            total["variance"] += half**2
            total["devices"] = max(prediction.devices, total["devices"])
            total["flops"] += prediction.flops
            total["stages"].append(digest)
            for key in MEMORY:
                value = getattr(prediction, key)
                if value is not None:
                    total["memory"][key] = max(value, total["memory"].get(key, 0))
    for total in arms.values():
        half = total.pop("variance") ** 0.5
        total["seconds_low"] = max(0.0, total["seconds"] - half)
        total["seconds_high"] = total["seconds"] + half
        base = arms.get(reference)
        total["relative"] = total["seconds"] / base["seconds"] if base else None
    return arms


def _arm_table(arms: Mapping[str, Mapping[str, Any]], rate: float | None) -> Table:
    table = Table(title="Predicted cost of an arm, one seed", title_justify="left", box=None)
    several = any(total["devices"] > 1 for total in arms.values())
    time = "device-seconds [95%]" if several else "seconds [95%]"
    headings = ["arm", time, "FLOPs", "peak memory", "relative cost"]
    for heading in [*headings, *([] if rate is None else ["seconds at the given rates"])]:
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, total in arms.items():
        interval = f"{total['seconds']:,.4g} [{total['seconds_low']:,.4g}, {total['seconds_high']:,.4g}]"
        relative = "not measured" if total["relative"] is None else f"{total['relative']:.1%}"
        memory = memory_text(*(total["memory"].get(key) for key in MEMORY))
        row = [arm, interval, f"{total['flops'] / 1e12:,.4g} TFLOP", memory, relative]
        if rate is not None:
            row.append(f"{total['flops'] / rate:,.4g}")
        table.add_row(*row)
    return table


def _runs(plan: Plan) -> dict[str, int]:
    return dict.fromkeys([*plan.rehearsals, *([plan.rehearse_evaluate] if plan.rehearse_evaluate else [])], 1)


def _rehearsal(facts: RehearseFacts) -> dict[str, float | None]:
    """What foretelling took."""
    return {"steps": facts.steps, "seconds": facts.seconds, "share_of_foretold": facts.share_of_foretold}


def _write(execution: Execution, arms: Mapping[str, Any]) -> Path:
    """What was predicted, with the stages it came from."""
    folder = execution.root.run_folder(execution.plan.id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cost.json"
    stages = {
        digest: {
            "stage": execution.plan.stages[digest].config["stage"],
            "arms": execution.plan.stages[digest].config["arms"],
            "prediction": prediction.model_dump(mode="json"),
            "rehearsal": _rehearsal(rehearsed(execution)[digest]),
        }
        for digest, prediction in predictions(execution).items()
    }
    facts = rehearsed_scoring(execution)
    scoring = None if facts is None else {**facts.model_dump(mode="json"), "most_seconds": facts.most_seconds}
    costs = {"arms": arms, "stages": stages, "scoring": scoring}
    path.write_text(json.dumps(costs, indent=1), encoding="utf-8")
    return path
