"""A search in comparison.json: every trial, and what is said of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.evidence.findings import Findings
from harness.evidence.tuned import AXES, Search


def tuning_data(findings: Findings) -> dict[str, Any]:
    """`tuning` with the record and, by arm, what is said of its search; nothing without one."""
    tuning = findings.view.record.tuning
    if tuning is None:
        return {}
    return {"tuning": {**tuning.model_dump(), "arms": {one.arm: _arm(one) for one in findings.searches}}}


def _arm(one: Search) -> dict[str, Any]:
    return {
        "chosen": one.tuning.chosen.get(one.arm),
        "tuned_settings": [".".join(place) for place in one.places],
        "best_of": _curve(one),
        "near_best": dataclasses.asdict(one.near) if one.scores else None,
        "importance": {".".join(place): dataclasses.asdict(one.importance[place]) for place in one.places},
        "cost": {quantity.name: one.cost(quantity)[0] for quantity in AXES},
    }


def _curve(one: Search) -> list[dict[str, float | int | None]]:
    if one.curve is None:
        return []
    rows: list[dict[str, float | int | None]] = []
    for k, value in enumerate(one.curve.value, start=1):
        interval = one.curve.interval(k)
        low, high = sorted(map(one.shown, interval)) if interval else (None, None)
        rows.append({"trials": k, "estimate": one.shown(value), "low": low, "high": high})
    return rows
