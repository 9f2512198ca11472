"""What trackers are told of a comparison: runs, their settings, names and values. Pure.

Names have the group before a slash, by which trackers sort their charts: `train/loss`, `probe/margin`,
`cost/flops`, `score/preference.accuracy`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.records import Plan, PlannedCell, PrepareFacts, Score, StageResult, TuningTrial
from harness.tracking import COMPARISON, DataSet, Ended, Point, Setting, TrackedRun

COSTS = ("wall_seconds", "peak_memory_bytes", "flops", "energy_joules")
BASE = "base"
Series = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of `steps.jsonl` by stage digest."""


@dataclass(frozen=True)
class Whole:
    """A run that is over, with all its values."""

    run: TrackedRun
    points: Sequence[Point]
    ended: Ended


def comparison_run(plan: Plan, began_ms: int, stamp: str | None = None) -> TrackedRun:
    """The comparison's own run."""
    spec = plan.spec
    settings: dict[str, Setting] = {
        "model": spec.get("model", "replayed"),
        "arms": ", ".join(arm["name"] for arm in spec["arms"]),
        "seeds": ", ".join(map(str, spec["seeds"])),
    }
    if "data" in spec:
        settings["data.source"] = spec["data"]["source"]
    return TrackedRun(plan.id, COMPARISON, plan.id, "comparison", None, began_ms, settings, stamp=stamp)


def cell_run(
    plan: Plan, cell: PlannedCell, began_ms: int, data: DataSet | None, stamp: str | None = None
) -> TrackedRun:
    """A cell with its settings: `<stage>.<setting>` of every stage, and `<setting>` of the last."""
    settings: dict[str, Setting] = {"arm": cell.arm, "seed": cell.seed, "repeat": cell.repeat}
    for digest in cell.stages:
        of_stage = stage_settings(plan, digest)
        settings |= {f"{short_name(plan, digest)}.{name}": value for name, value in of_stage.items()}
        settings |= of_stage if digest == cell.stages[-1] else {}
    key = cell_key(cell)
    tags = {"arm": cell.arm, "seed": str(cell.seed)}
    return TrackedRun(plan.id, key, key, "cell", COMPARISON, began_ms, settings, tags, data, stamp)


def stage_run(
    plan: Plan,
    cell: PlannedCell,
    digest: str,
    began_ms: int,
    data: DataSet | None,
    stamp: str | None = None,
) -> TrackedRun:
    """A training stage of a cell."""
    name, key = short_name(plan, digest), stage_key(plan, cell, digest)
    tags = {"arm": cell.arm, "seed": str(cell.seed), "stage": name, "digest": digest}
    settings = stage_settings(plan, digest)
    parent = cell_key(cell)
    return TrackedRun(plan.id, key, key, "stage", parent, began_ms, settings, tags, data, stamp)


def base_run(plan: Plan, began_ms: int, data: DataSet | None, stamp: str | None = None) -> TrackedRun:
    """The model that all arms start from, as it was scored."""
    tags = {"arm": BASE}
    return TrackedRun(plan.id, BASE, BASE, "cell", COMPARISON, began_ms, {"arm": BASE}, tags, data, stamp)


def trial_run(comparison: str, trial: TuningTrial, metric: str, at_ms: int) -> Whole:
    """A trial of the search with the settings that were drawn, its score and its costs."""
    settings: dict[str, Setting] = {"arm": trial.arm, "trial": trial.number}
    settings |= {
        f"{stage}.{key}": value for stage, keys in trial.settings.items() for key, value in keys.items()
    }
    name, tags = f"{trial.arm} trial {trial.number}", {"arm": trial.arm}
    known = {
        f"tuning/{metric}": trial.score,
        "tuning/pruned_at": trial.pruned_at,
        "cost/wall_seconds": trial.seconds,
        "cost/flops": trial.flops,
    }
    values = {quantity: value for quantity, value in known.items() if value is not None}
    stamp = hashlib.sha256(trial.model_dump_json().encode()).hexdigest()[:16]
    run = TrackedRun(comparison, name, name, "trial", COMPARISON, at_ms, settings, tags, stamp=stamp)
    ended = Ended("failed" if trial.score is None else "finished", at_ms, trial.reason, stamp=stamp)
    return Whole(run, [Point(0, at_ms, values)], ended)


def cell_key(cell: PlannedCell) -> str:
    """`arm@seed`, and `#repeat` for cells that are trained again for their cost."""
    return f"{cell.arm}@{cell.seed}" + (f"#{cell.repeat}" if cell.repeat else "")


def stage_key(plan: Plan, cell: PlannedCell, digest: str) -> str:
    """`arm/stage@seed`."""
    return cell_key(cell).replace("@", f"/{short_name(plan, digest)}@", 1)


def short_name(plan: Plan, digest: str) -> str:
    """A training stage's name within its arm."""
    return plan.stages[digest].name.split("/")[-1].split("@")[0]


def stage_settings(plan: Plan, digest: str) -> dict[str, Setting]:
    """A stage's settings, those of a group such as `lora` as `lora.r`; what is not set is left out."""
    return dict(_flat(plan.stages[digest].config["config"]))


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Setting]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", value if isinstance(value, Setting) else str(value)


def data_set(prepared: StageResult) -> DataSet | None:
    """The pairs that the prepare stage read; None where nothing was prepared."""
    facts = prepared.facts
    if not isinstance(facts, PrepareFacts):
        return None
    return DataSet(facts.source, facts.train_ids_digest, facts.train_pairs, facts.test_pairs)


def step_values(metrics: Mapping[str, float]) -> dict[str, float]:
    """A row of a stage's series under the names that trackers are told.

    A row of a probe keeps what else it holds in its own group, since an optimizer's step has a row with the
    same names.
    """
    for mark, group in (("probe_", "probe"), ("eval_", "eval")):
        if any(name.startswith(mark) for name in metrics):
            return {f"{group}/{name.removeprefix(mark)}": value for name, value in metrics.items()}
    return {f"train/{name}": value for name, value in metrics.items()}


def score_values(scores: Sequence[Score]) -> dict[str, float]:
    """Scores as `score/<benchmark>.<metric>`."""
    return {f"score/{s.benchmark}.{s.metric}": s.estimate for s in scores if s.estimate is not None}


def cell_costs(stages: Sequence[StageResult]) -> dict[str, float]:
    """Sums over stages as `cost/<quantity>`, memory the maximum; what one stage lacks, the cell lacks."""
    costs: dict[str, float] = {}
    for quantity in COSTS:
        values = [m.value for s in stages if (m := s.measured(quantity)) and m.value is not None]
        if values and len(values) == len(stages):
            most = max(values) if quantity.endswith("_bytes") else sum(values)
            costs[f"cost/{quantity}"] = float(most)
    return costs


def stage_ended(result: StageResult, folder: Path, reused_from: str | None) -> Ended:
    """How the finished stage in `folder` ended; figures beside its costs stand in tags, off the charts."""
    environment = result.environment
    tags = {
        "git_commit": environment.git_commit or "none",
        "gpu_uuid": environment.gpu_uuid or "none",
        "device": environment.device_name,
    }
    for figure in result.ledger:
        if figure.value is None:
            tags[f"missing.{figure.quantity}"] = figure.reason or ""
        elif figure.quantity not in COSTS:
            tags[f"ledger.{figure.quantity}"] = f"{figure.value:.6g} {figure.unit}".removesuffix(" 1")
    tags |= final_weights(result, folder)
    tags |= {"reused_from": reused_from} if reused_from else {}
    return Ended("finished", milliseconds(result.finished_at), tags=tags, stamp=stamp_of([result]))


def final_weights(result: StageResult, folder: Path) -> dict[str, str]:
    """The tag that says where a training stage left its model."""
    weights = result.outputs.get("model")
    return {"final_weights": str((folder / weights).resolve())} if weights else {}


def stage_points(result: StageResult, rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """A finished stage's series, and its costs at its last step; a row's time is the stage's clock."""
    began, ended = milliseconds(result.started_at), milliseconds(result.finished_at)
    points = []
    for row in rows:
        seconds = row["metrics"].get("elapsed_seconds")
        at = ended if seconds is None else began + int(1000 * seconds)
        points.append(Point(row["step"], at, step_values(row["metrics"])))
    return [*points, Point(0, ended, cell_costs([result]))]


def stamp_of(results: Sequence[StageResult]) -> str:
    """16 hex digits of stages as they finished: a stage that is run again has another stamp."""
    lines = sorted(f"{result.digest} {result.finished_at}" for result in results)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def milliseconds(moment: str) -> int:
    """Of an ISO time, since 1970."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
