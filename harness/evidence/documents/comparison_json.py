"""The content of comparison.json: what other tools may rely on."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from harness.evidence.aggregates import members
from harness.evidence.answers import Answer
from harness.evidence.contrasts import Contrast
from harness.evidence.costs import arm_cost, cost_ratio, memory_kind, on_several_devices
from harness.evidence.documents.people_json import people_data
from harness.evidence.documents.tuning_json import tuning_data
from harness.evidence.findings import Findings
from harness.evidence.labels import unequal
from harness.evidence.missing import asked_items, missing_items
from harness.evidence.scores import arm_score
from harness.evidence.sections.categories import gradings
from harness.evidence.statistics.estimate import Estimate
from harness.evidence.tuned import trials_by_stage
from harness.evidence.view import BASE, ComparisonView
from harness.evidence.wins import wins_of
from harness.quantities import COSTS, DEVICE_SECONDS, WALL_SECONDS

SCHEMA_VERSION = 1


def comparison_data(findings: Findings) -> dict[str, Any]:
    """Arms with costs and scores, evidence, parity, provenance; absent figures are null."""
    view = findings.view
    record = view.record
    pair = findings.primary
    return {
        "schema_version": SCHEMA_VERSION,
        "id": record.id,
        "name": record.name,
        "baseline": view.baseline,
        "cost_reference": view.cost_reference,
        "primary": None if pair is None else {"a": pair.a, "b": pair.b},
        "seeds": view.seeds,
        "arms": {arm: {"title": findings.titles[arm], **_arm(view, arm)} for arm in view.arms},
        "base": _base(view),
        "aggregates": {
            name: [dataclasses.asdict(one) for one in members(view, aggregate)]
            for name, aggregate in view.aggregates.items()
        },
        "evidence": [_contrast(view, one) for one in findings.contrasts],
        "questions": [_answer(one) for one in findings.answers],
        "look": None if view.look is None else view.look.model_dump(),
        "parity": [check.model_dump() for check in record.parity],
        "failed": [one.model_dump() for one in record.failed],
        "missing": [cell.model_dump() for cell in record.missing],
        **tuning_data(findings),
        **people_data(view),
        "data": None if view.replayed else view.prepared.statistics.model_dump(),
        "provenance": _provenance(findings),
    }


def _arm(view: ComparisonView, arm: str) -> dict[str, Any]:
    missing: dict[str, str] = {}
    cost = _cost(view, arm, missing)
    if not gradings(view):
        missing["helpfulness"] = "no grader"
    scores = _scores(view, arm, missing)
    return {
        "cost": cost,
        "scores": scores,
        "missing": missing,
        "stages": [digest for cell in view.cells_of(arm) for digest in cell.stages],
    }


def _cost(view: ComparisonView, arm: str, missing: dict[str, str]) -> dict[str, Any]:
    """Each cost with its seeds and the unequal terms that touch it; why one is absent goes to `missing`."""
    cost: dict[str, Any] = {"per_seed": {}, "unequal": {}, "memory_kind": memory_kind(view).value}
    if on_several_devices(view):
        cost["time_kind"] = DEVICE_SECONDS.name
    for quantity in COSTS:
        of_arm = arm_cost(view, arm, quantity)
        cost[quantity.name] = of_arm.value
        cost["per_seed"][quantity.name] = list(of_arm.per_seed)
        cost["unequal"][quantity.name] = [check.check for check in unequal(view, quantity.name)]
        if quantity.timed and view.mixed_fleet:
            kinds = {kind: arm_cost(view, arm, quantity, kind).value for kind in view.kinds_of_device}
            cost.setdefault("by_kind", {})[quantity.name] = kinds
        if of_arm.value is None:
            missing[quantity.name] = of_arm.reason or "unknown"
    cost |= {"relative": None, "relative_low": None, "relative_high": None}
    if view.cost_reference in view.arms:
        ratio = cost_ratio(view, arm, view.cost_reference, WALL_SECONDS)
        cost |= {"relative": ratio.value, "relative_low": ratio.low, "relative_high": ratio.high}
    if cost["relative"] is None:
        missing["relative"] = f"no training time of {view.cost_reference}"
    return cost


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
                **_items(view, arm, metric),
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


def _items(view: ComparisonView, arm: str, metric: str) -> dict[str, Any]:
    """How many items each cell was asked, how many of them are missing by seed; wins, ties and losses."""
    counts = wins_of(view, arm, metric)
    return {
        "items": len(asked_items(view, metric)),
        "items_missing": [len(ids) for ids in missing_items(view, arm, metric)],
        **({} if counts is None else {"wins": dataclasses.asdict(counts)}),
    }


def _why(view: ComparisonView, arm: str, metric: str, estimate: Estimate) -> str:
    """Values that cannot be used say so themselves; for the rest the benchmark knows."""
    return str(estimate.reason) if estimate.n else view.why_unscored(arm, metric)


def _base(view: ComparisonView) -> dict[str, Any]:
    """The starting model's scores: one model, so no interval over seeds."""
    if view.random_weights:
        return {"scores": {}, "missing": {"scores": "training began from random weights"}}
    scores: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for metric, table in view.items.get(BASE, {}).items():
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


def _contrast(view: ComparisonView, one: Contrast) -> dict[str, Any]:
    estimate = dataclasses.asdict(one.estimate)
    keep = ("low", "high", "n", "p", "target", "detectable", "reason")
    return {
        "quantity": one.quantity,
        "a": one.a,
        "b": one.b,
        "kind": one.kind,
        "estimate": estimate["value"],
        **{key: estimate[key] for key in keep},
        "verdict": one.verdict.text,
        "outcome": one.verdict.outcome.value,
        "over_items_too": dataclasses.asdict(one.both) if one.both is not None else None,
        "unequal": [check.check for check in unequal(view, one.quantity)],
        "stages": list(one.sources),
    }


def _answer(one: Answer) -> dict[str, Any]:
    verdict = {"verdict": one.verdict.text, "outcome": one.verdict.outcome.value}
    return {**dataclasses.asdict(one), **verdict}


def _judges(view: ComparisonView) -> dict[str, list[str]]:
    """Who judged, by name and version: a stage's digest each."""
    named: dict[str, set[str]] = {}
    for digest, score in view.written.values():
        if score.settings.get("judge") is not None:
            named.setdefault(digest, set()).add(str(score.settings["judge"]))
    return {digest: sorted(judges) for digest, judges in named.items()}


def _provenance(findings: Findings) -> dict[str, Any]:
    view, record = findings.view, findings.view.record
    stages = record.plan.cells[0].stages or [record.plan.prepare]
    environment = record.results[stages[0]].environment
    judges = _judges(view)
    return {
        "run_id": record.id,
        "created_at": record.created_at,
        "command": record.command,
        "git_commit": environment.git_commit,
        "lock_digest": environment.lock_digest,
        "versions": environment.versions,
        "device": environment.device_name,
        "gpu_uuid": environment.gpu_uuid,
        "other_gpus": environment.other_gpus,
        "stages": {digest: {"name": name} for digest, name in trials_by_stage(findings.searches).items()}
        | {
            digest: {
                "name": result.name,
                "kind": result.kind,
                "reused_from": record.uses[digest].reused_from,
                "seed": result.seed,
                "finished_at": result.finished_at,
                "device": result.environment.device_name,
                "place": result.environment.place,
                "node": result.environment.node,
                "git_commit": result.environment.git_commit,
                "lock_digest": result.environment.lock_digest,
                "judges": judges.get(digest, []),
            }
            for digest, result in record.results.items()
        },
    }
