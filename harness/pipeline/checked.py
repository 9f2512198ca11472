"""What a comparison's spec says that no type can hold: names that must be known, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline._parity_checks import CHECKS
from harness.pipeline.data_spec import TEMPLATES
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.spec_model import SEEDS
from harness.pipeline.training_spec import RENAMED, TrainConfig
from harness.pipeline.yaml_file import KeyPath
from harness.quantities import AGGREGATE, COST, COST_NAMES

ROLES: Mapping[KeyPath, Callable[[ComparisonSpec], str]] = {
    ("baseline",): lambda spec: spec.baseline,
    ("cost_reference",): lambda spec: spec.cost_reference,
    ("budget", "of"): lambda spec: spec.budget.of,
}
"""Where a comparison says which arm plays a part."""


def check_names(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for a name of an arm, stage, benchmark, tracker or score that nothing bears."""
    names = [arm.name for arm in spec.arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"arm {name} stands twice", where=where(("arms",)), remedy="give each a name of its own"
            )
    for index, arm in enumerate(spec.arms):
        stages = [stage.stage_name for stage in arm.stages]
        twice = next((name for name in stages if stages.count(name) > 1), None)
        if twice is not None:
            raise UserError(
                f"arm {arm.name} has two stages {twice}",
                where=where(("arms", str(index))),
                remedy="give one of them a name of its own (name: ...)",
            )
    for name in spec.score:
        registry.check("benchmarks", name, where=where(("score",)))
    for name in spec.benchmarks:
        registry.check("benchmarks", name, where=where(("benchmarks", name)))
    for name in spec.tracking:
        registry.check("trackers", name, where=where(("tracking",)))
    known = {stage.stage_name for arm in spec.arms for stage in arm.stages}
    for name in spec.stages:
        if name not in known and name not in registry.names("methods"):
            everything = known | set(registry.names("methods"))
            raise unknown_name("stage", name, everything, where=where(("stages", name)))
    common = {field.alias or key for key, field in TrainConfig.model_fields.items()}
    for key in spec.training:
        if key in RENAMED:
            fact, _, remedy = RENAMED[key].partition("; ")
            raise UserError(fact, remedy=remedy, where=where(("training", key)))
        if key not in common:
            raise unknown_name("key of training", key, common, where=where(("training", key)))
    _check_reach(spec, where)
    for name, aggregate in spec.aggregates.items():
        for score in aggregate.weights:
            _check_part(name, score, where(("aggregates", name, "weights", score)))
    for number, question in enumerate(spec.questions):
        place = where(("questions", str(number), "quantity"))
        if question.quantity.startswith(AGGREGATE):
            name = question.quantity.removeprefix(AGGREGATE)
            if name not in spec.aggregates:
                raise unknown_name("aggregate", name, spec.aggregates, where=place)
        else:
            _check_quantity(question.quantity, place)
    for name in spec.allow_unequal:
        if name not in CHECKS:
            raise unknown_name("parity check", name, CHECKS, where=where(("allow_unequal",)))
    if spec.data.chat_template not in TEMPLATES and not Path(spec.data.chat_template).is_file():
        raise UserError(
            f"data.chat_template is {spec.data.chat_template!r}, and there is no such file",
            where=where(("data", "chat_template")),
            remedy=f"give {', '.join(TEMPLATES)}, or the path of a .jinja file",
        )
    if spec.model_revision is not None and spec.model == "embedded":
        raise UserError(
            "model_revision is set", where=where(("model_revision",)), remedy="the embedded model has none"
        )


def check_looks(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for looks that need more seeds than there are."""
    if spec.looks is not None and spec.looks[-1] > len(spec.seeds):
        raise UserError(
            f"the last look uses {spec.looks[-1]} seeds and there are {len(spec.seeds)}",
            where=where(("seeds",)),
            remedy=f"give {spec.looks[-1]} seeds, or end looks at {len(spec.seeds)}",
        )


def check_seeds(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for an arm whose `seed_offset` leads past the largest seed."""
    for number, arm in enumerate(spec.arms):
        largest = max(spec.seeds) + arm.seed_offset
        if largest >= SEEDS:
            raise UserError(
                f"arm {arm.name} would train at seed {largest}, its seed_offset being {arm.seed_offset}",
                where=where(("arms", str(number))),
                remedy=f"keep seed and seed_offset together below {SEEDS}",
            )


def check_sides(spec: ComparisonSpec, where: Any, *, roles: Sequence[KeyPath]) -> None:
    """Raise UserError for one of `roles` of, or a question about, an arm that the comparison lacks."""
    known = [*(arm.name for arm in spec.arms), "base"]
    for role in roles:
        arm = ROLES[role](spec)
        if arm not in known:
            raise unknown_name("arm", arm, known, where=where(role))
    if len(roles) < len(ROLES):
        return
    for number, question in enumerate(spec.questions):
        for side, arm in (("a", question.a), ("b", question.b)):
            if arm not in known:
                raise unknown_name("arm", arm, known, where=where(("questions", str(number), side)))


def _check_part(aggregate: str, score: str, where: str | None) -> None:
    """Raise UserError for a part of an aggregate that is no score."""
    if score.startswith((COST, AGGREGATE)):
        raise UserError(
            f"{score} is no score, so it cannot be part of aggregate {aggregate}",
            where=where,
            remedy="name scores (benchmark.metric) alone",
        )
    _check_quantity(score, where)


def _check_quantity(quantity: str, where: str | None) -> None:
    """Raise UserError for a quantity that no run can have."""
    group, _, name = quantity.partition(".")
    if group == "cost":
        if name not in COST_NAMES:
            raise unknown_name("cost", name, COST_NAMES, where=where)
        return
    benchmark = group.partition("/")[0].partition("@")[0]
    registry.check("benchmarks", benchmark, where=where)
    if not name:
        raise UserError(
            f"{quantity} names no metric", where=where, remedy="write benchmark.metric or cost.NAME"
        )


def _check_reach(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for a stage's setting that every arm with this stage overrides."""
    for name, settings in spec.stages.items():
        arm_configs = [s.config for arm in spec.arms for s in arm.stages if s.stage_name == name]
        for key in settings:
            if arm_configs and all(key in config for config in arm_configs):
                raise UserError(
                    f"stages.{name}.{key} has no effect: every arm here with a stage {name} sets its own",
                    where=where(("stages", name, key)),
                    remedy="set it in the arm (arms: [{pipeline: ..., stages: ...}]), or leave it out",
                )
