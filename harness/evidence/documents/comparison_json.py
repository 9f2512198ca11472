"""The content of comparison.json: what other tools may rely on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from harness.evidence.answers import answers
from harness.evidence.contrasts import Evidence
from harness.evidence.costs import QUANTITIES, arm_cost, cost_ratio, memory_kind
from harness.evidence.labels import unequal
from harness.evidence.scores import arm_score
from harness.evidence.sections.categories import gradings
from harness.evidence.sections.quality import NO_GRADER
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.view import ComparisonView

SCHEMA_VERSION = 1


def comparison_data(view: ComparisonView, evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Arms with costs and scores, evidence, parity, provenance; absent figures are null."""
    record = view.record
    return {
        "schema_version": SCHEMA_VERSION,
        "id": record.id,
        "name": record.name,
        "baseline": view.baseline,
        "cost_reference": view.cost_reference,
        "seeds": view.seeds,
        "arms": {arm: _arm(view, arm) for arm in view.arms},
        "base": _base(view),
        "evidence": [_evidence(view, e) for e in evidence],
        "questions": [dataclasses.asdict(a) for a in answers(view)],
        "parity": [c.model_dump() for c in record.parity],
        "data": None if view.replayed else view.prepared.statistics.model_dump(),
        "provenance": _provenance(view),
    }


def _arm(view: ComparisonView, arm: str) -> dict[str, Any]:
    cost: dict[str, Any] = {"per_seed": {}, "unequal": {}}
    missing: dict[str, str] = {}
    for quantity in QUANTITIES:
        found = arm_cost(view, arm, quantity)
        cost[quantity] = found.value
        cost["per_seed"][quantity] = list(found.per_seed)
        cost["unequal"][quantity] = [c.check for c in unequal(view, quantity)]
        if found.value is None:
            missing[quantity] = found.reason or "unknown"
        if quantity == "peak_memory_bytes":
            cost["memory_kind"] = memory_kind(view)
    cost |= {"relative": None, "relative_low": None, "relative_high": None}
    if view.cost_reference in view.arms:
        ratio = cost_ratio(view, arm, view.cost_reference, "wall_seconds")
        cost |= {"relative": ratio.value, "relative_low": ratio.low, "relative_high": ratio.high}
    if cost["relative"] is None:
        missing["relative"] = f"no training time of {view.cost_reference}"
    if not gradings(view):
        missing["helpfulness"] = NO_GRADER
    scores = _scores(view, arm, missing)
    return {
        "cost": cost,
        "scores": scores,
        "missing": missing,
        "stages": [d for cell in view.cells_of(arm) for d in cell.stages],
    }


def _scores(view: ComparisonView, arm: str, missing: dict[str, str]) -> dict[str, dict[str, Any]]:
    scores: dict[str, dict[str, Any]] = {}
    if view.random_weights:
        missing["scores"] = "training began from random weights"
        return scores
    for metric in view.metrics():
        benchmark, _, name = metric.rpartition(".")
        estimate = arm_score(view, arm, metric)
        if estimate.value is not None:
            scores.setdefault(benchmark, {})[name] = {
                "estimate": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "n": estimate.n,
                "per_seed": view.item_means(arm, metric),
            }
        elif view.rival_of(metric) == arm:
            scores.setdefault(benchmark, {})[name] = {
                "estimate": view.against_itself(metric),
                "low": None,
                "high": None,
                "n": 0,
                "per_seed": [],
                "by_definition": True,
            }
        else:
            missing[metric] = _why(view, arm, metric, estimate)
    return scores


def _why(view: ComparisonView, arm: str, metric: str, estimate: Estimate) -> str:
    """Values that cannot be used say so themselves; for the rest the benchmark knows."""
    return str(estimate.reason) if estimate.n else view.why_unscored(arm, metric)


def _base(view: ComparisonView) -> dict[str, Any]:
    """The starting model's scores: one model, so no interval over seeds."""
    if view.random_weights:
        return {"scores": {}, "missing": {"scores": "training began from random weights"}}
    scores: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for metric, table in view.items.get("base", {}).items():
        benchmark, _, name = metric.rpartition(".")
        if not table:
            missing[metric] = "no item has a value"
            continue
        mean = sum(table.values()) / len(table)
        if not math.isfinite(mean):
            missing[metric] = "some of its values are not finite"
            continue
        scores.setdefault(benchmark, {})[name] = {
            "estimate": mean,
            "low": None,
            "high": None,
            "n": len(table),
        }
    return {"scores": scores, "missing": missing}


def _evidence(view: ComparisonView, e: Evidence) -> dict[str, Any]:
    estimate = dataclasses.asdict(e.estimate)
    keep = ("low", "high", "n", "p", "target", "detectable", "reason")
    return {
        "quantity": e.quantity,
        "a": e.a,
        "b": e.b,
        "kind": e.kind,
        "estimate": estimate["value"],
        **{k: estimate[k] for k in keep},
        "verdict": e.verdict,
        "over_items_too": dataclasses.asdict(e.both) if e.both is not None else None,
        "unequal": [c.check for c in unequal(view, e.quantity)],
        "stages": list(e.sources),
    }


def _judges(view: ComparisonView, digest: str) -> list[str]:
    """Who judged in a stage, by name and version."""
    named = (s.settings.get("judge") for _, (d, s) in view.written.items() if d == digest)
    return sorted({str(name) for name in named if name is not None})


def _provenance(view: ComparisonView) -> dict[str, Any]:
    record = view.record
    stages = record.plan.cells[0].stages or [record.plan.prepare]
    environment = record.results[stages[0]].environment
    return {
        "run_id": record.id,
        "created_at": record.created_at,
        "command": record.command,
        "git_commit": environment.git_commit,
        "lock_digest": environment.lock_digest,
        "versions": environment.versions,
        "device": environment.device_name,
        "stages": {
            digest: {
                "name": result.name,
                "kind": result.kind,
                "reused_from": record.uses[digest].reused_from,
                "seed": result.seed,
                "finished_at": result.finished_at,
                "device": result.environment.device_name,
                "git_commit": result.environment.git_commit,
                "lock_digest": result.environment.lock_digest,
                "judges": _judges(view, digest),
            }
            for digest, result in record.results.items()
        },
    }
