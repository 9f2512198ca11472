"""Whether a record that was read is one that harness can have written: what it names is there, and is plain.

Types were looked at when it was read. A record that was cut and mended, or edited by hand, may still name a
stage that it lacks, or a folder that lies elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from harness.pipeline.questions_spec import AggregateSpec, LookSpec, QuestionSpec
from harness.records import ComparisonRecord

ID = re.compile(r"\w[\w.+-]*")
"""Of runs and stages, whose folders are called so."""


def fault(record: ComparisonRecord) -> str | None:
    """What is wrong with a record, or None."""
    return next(_faults(record), None)


def _faults(record: ComparisonRecord) -> Iterator[str]:
    plan, results = record.plan, record.results
    for name in (record.id, *results, *(result.digest for result in results.values())):
        if not ID.fullmatch(name):
            yield f"{name[:60]!r} is no run's and no stage's id"
    for result in results.values():
        # What a replay read stands in the place of a prepare stage.
        if result.facts.kind not in (result.kind, "replay"):
            yield f"stage {result.name} is of kind {result.kind}, and its facts of kind {result.facts.kind}"
    yield from _of_spec(plan.spec)
    needed = [plan.prepare, *(digest for cell in plan.cells for digest in cell.stages)]
    for digest in needed:
        if digest not in results or digest not in plan.stages:
            yield f"stage {digest[:60]} is named and not there"
    arms = {arm["name"] for arm in plan.spec["arms"]}
    for arm in sorted(arms - {cell.arm for cell in plan.cells}):
        yield f"arm {arm} has no cell"
    for cell in plan.cells:
        if cell.arm not in arms:
            yield f"a cell is of arm {cell.arm[:60]!r}, which is not among the arms"
    for judge in (plan.judge, *plan.more_judges):
        if judge is not None and judge in results and results[judge].kind != "judge":
            yield f"stage {judge} is no judge's"


def _of_spec(spec: dict[str, Any]) -> Iterator[str]:
    """Baseline, cost reference and questions may be of arms that the command line left out."""
    arms, seeds = spec.get("arms"), spec.get("seeds")
    if not isinstance(arms, list) or not arms or not all(map(_is_arm, arms)):
        yield "plan.spec.arms names no arms"
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        yield "plan.spec.seeds names no seeds"
    for role in ("baseline", "cost_reference"):
        if not isinstance(spec.get(role), str):
            yield f"plan.spec.{role} names no arm"
    try:
        for one in spec.get("questions") or []:
            QuestionSpec.model_validate(one)
        for one in (spec.get("aggregates") or {}).values():
            AggregateSpec.model_validate(one)
        if spec.get("look") is not None:
            LookSpec.model_validate(spec["look"])
    except (ValidationError, TypeError, AttributeError):
        yield "plan.spec asks questions that cannot be read"


def _is_arm(arm: Any) -> bool:
    return isinstance(arm, dict) and isinstance(arm.get("name"), str) and bool(ID.fullmatch(arm["name"]))
