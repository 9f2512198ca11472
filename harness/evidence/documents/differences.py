"""Two runs held against each other: settings, surroundings, results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.costs import arm_cost
from harness.evidence.scores import arm_score
from harness.evidence.view import ComparisonView
from harness.quantities import COSTS

ABSENT = "absent"
SETTINGS, SURROUNDINGS, RESULTS = "Settings", "Surroundings", "Results"


@dataclass(frozen=True)
class Difference:
    """One thing that two runs have differently, in words."""

    group: str
    name: str
    a: str
    b: str


def differences(a: ComparisonView, b: ComparisonView) -> list[Difference]:
    """Everything that differs, settings first; equal things are left out."""
    pairs = (
        (SETTINGS, _flat(a.record.plan.spec), _flat(b.record.plan.spec)),
        (SURROUNDINGS, _surroundings(a), _surroundings(b)),
        (RESULTS, _results(a), _results(b)),
    )
    return [
        Difference(group, name, left.get(name, ABSENT), right.get(name, ABSENT))
        for group, left, right in pairs
        for name in dict.fromkeys([*left, *right])
        if left.get(name, ABSENT) != right.get(name, ABSENT)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Leaves of nested settings by dotted name; arms stand under their own names."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "name" in v for v in value):
        return _flat({str(v["name"]): v for v in value}, prefix)
    return {prefix: str(value)}


def _surroundings(view: ComparisonView) -> dict[str, str]:
    stages = [result for result in view.record.results.values() if result.kind in ("train", "judge")]
    if not stages:
        return {}
    environment = stages[0].environment
    return {
        "device": environment.device_name,
        "commit": environment.git_commit or ABSENT,
        "packages": environment.lock_digest or ABSENT,
        **{f"version of {name}": version for name, version in environment.versions.items()},
    }


def _results(view: ComparisonView) -> dict[str, str]:
    results = {}
    for arm in view.arms:
        for quantity in COSTS if not view.replayed else ():
            cost = arm_cost(view, arm, quantity)
            results[f"{arm}: {quantity.name}"] = ABSENT if cost.value is None else f"{cost.value:.5g}"
        for metric in view.metrics():
            score = arm_score(view, arm, metric)
            text = ABSENT if score.value is None else f"{score.value:.4g}"
            if score.low is not None and score.high is not None:
                text += f" [{score.low:.4g}, {score.high:.4g}]"
            results[f"{arm}: {metric}"] = text
    return results
