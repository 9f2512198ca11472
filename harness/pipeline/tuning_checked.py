"""What a search's spec says that no type can hold: stages and keys that are there, and legal ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline.spec import ArmSpec, ComparisonSpec, StageSpec
from harness.pipeline.spec_model import SEEDS
from harness.pipeline.tuning_draws import space_of, value_at
from harness.pipeline.tuning_spec import SettingSpace, TuningSpec
from harness.pipeline.yaml_file import KeyPath

Place = Callable[[KeyPath], str | None]
StageConfig = Callable[..., Any]
MIDDLE = 0.5
STATED = ("tuning_trials_per_arm", "search_space")
OF_EVERY_STAGE = ("epochs", "trials")
"""Axes of the comparison's budget that leave each stage its own length."""


def check_tuning(spec: ComparisonSpec, where: Place, stage_config: StageConfig) -> None:
    """Raise UserError for a search that could not be made; `stage_config` checks a stage's settings."""
    tuning = spec.tuning
    if tuning is None:
        return
    _check_together(spec, where)
    _check_seed(spec, tuning, where)
    _check_metric(tuning, where(("tuning", "metric")))
    stages = [(arm, stage) for arm in spec.arms for stage in arm.stages]
    for name, keys in tuning.space.items():
        having = [(arm, stage) for arm, stage in stages if stage.stage_name == name]
        # Arms that the file is written for may not be among those of the command line.
        if not having and name not in registry.names("methods"):
            known = {stage.stage_name for _, stage in stages} | set(registry.names("methods"))
            raise unknown_name("stage of tuning.space", name, known, where=where(("tuning", "space", name)))
        for key, space in keys.items():
            place = where(("tuning", "space", name, key))
            for stage in {stage.method: stage for _, stage in having}.values():
                _check_key(spec, stage, key, space, place, stage_config)
    for index, arm in enumerate(spec.arms):
        _check_searched(tuning, arm, where(("arms", str(index))))


def _check_together(spec: ComparisonSpec, where: Place) -> None:
    for name in STATED:
        if getattr(spec, name):
            raise UserError(
                f"{name} is stated, and tuning: says and counts it itself",
                where=where((name,)),
                remedy=f"take {name} out, or tuning",
            )
    if spec.budget.axis not in OF_EVERY_STAGE:
        raise UserError(
            f"budget.axis is {spec.budget.axis}, which sets the steps that tuning would search settings for",
            where=where(("budget", "axis")),
            remedy=f"give {' or '.join(OF_EVERY_STAGE)}, or leave tuning out",
        )


def _check_seed(spec: ComparisonSpec, tuning: TuningSpec, where: Place) -> None:
    """Winners are trained on seeds that chose nothing."""
    compared = {seed + arm.seed_offset for arm in spec.arms for seed in spec.seeds}
    tried = {tuning.seed + arm.seed_offset for arm in spec.arms}
    if tried & compared or max(tried) >= SEEDS:
        raise UserError(
            f"tuning.seed {tuning.seed} is a seed of the comparison"
            if tried & compared
            else f"tuning.seed {tuning.seed} and an arm's seed_offset lead past the largest seed",
            where=where(("tuning", "seed")),
            remedy="give tuning a seed of its own",
        )


def _check_metric(tuning: TuningSpec, where: str | None) -> None:
    """The benchmark alone: its metrics are known once it has scored the base model."""
    registry.check("benchmarks", tuning.benchmark, where=where)
    if not tuning.metric.partition(".")[2]:
        raise UserError(
            f"tuning.metric is {tuning.metric}, which names no metric",
            where=where,
            remedy="write benchmark.metric, such as preference.accuracy",
        )


def _check_key(
    spec: ComparisonSpec,
    stage: StageSpec,
    key: str,
    space: SettingSpace,
    where: str | None,
    stage_config: StageConfig,
) -> None:
    """The key is one of the method's, and what may be drawn for it is legal."""
    fields = registry.load("methods", stage.method).Config.model_fields
    known = {field.alias or name for name, field in fields.items()}
    if key not in known:
        raise unknown_name(f"key of stage {stage.stage_name}", key, known, where=where)
    for value in [*space.ends(), value_at(space, MIDDLE)]:
        tried = stage.model_copy(update={"config": {**stage.config, key: value}})
        stage_config(spec, tried, where=lambda _: where, own=lambda _: where)


def _check_searched(tuning: TuningSpec, arm: ArmSpec, where: str | None) -> None:
    if not space_of(tuning.space, arm):
        raise UserError(
            f"nothing of arm {arm.name} is searched, while other arms are tuned",
            where=where,
            remedy="add a key of one of its stages to tuning.space, or leave the arm out",
        )
