"""Which stage of an arm starts from which, and whose models it reads besides. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline.spec import ArmSpec, ComparisonSpec, StageSpec
from harness.pipeline.training_spec import FullTrlConfig, TrainConfig

ConfigOf = Callable[[StageSpec], TrainConfig]
REWARD, POLICY = "reward", "policy"


def start_of(arm: ArmSpec, stage: StageSpec) -> str | None:
    """The stage whose model `stage` starts from, by name; None for the base model."""
    names = [one.stage_name for one in arm.stages]
    place = names.index(stage.stage_name)
    return stage.from_ or (names[place - 1] if place else None)


def models_of(arm: ArmSpec, stage: StageSpec, config: TrainConfig, made: Mapping[str, str]) -> dict[str, str]:
    """What for -> the digest of the stage whose model it is, by the digests of the stages before."""
    start = start_of(arm, stage)
    own = {"model": made[start]} if start is not None else {}
    return {**own, **{role: made[name] for role, name in config.reads().items()}}


def check_lineage(spec: ComparisonSpec, config_of: ConfigOf, where: Any) -> None:
    """Raise UserError for a stage that starts from, or reads, what is not there, not yet trained or of the
    wrong kind, and for an arm that ends in no policy."""
    for index, arm in enumerate(spec.arms):
        place = where(("arms", str(index)))
        for stage in arm.stages:
            _check_stage(arm, stage, config_of, place)
        last = arm.stages[-1]
        if _trains(last) != POLICY:
            raise UserError(
                f"arm {arm.name} ends in {last.stage_name}, which answers nothing and cannot be scored",
                where=place,
                remedy="let a stage that trains a policy be the last",
            )


def _check_stage(arm: ArmSpec, stage: StageSpec, config_of: ConfigOf, place: str | None) -> None:
    config, start = config_of(stage), start_of(arm, stage)
    if start is not None:
        before = config_of(_needed(arm, stage, "starts from", start, POLICY, place))
        if isinstance(config, FullTrlConfig) and before.lora is not None:
            fact = f"stage {stage.stage_name} of arm {arm.name} starts from full weights"
            remedy = f"train {start} without lora"
            raise UserError(f"{fact}, and {start} trains adapters", where=place, remedy=remedy)
    for name in config.reads().values():
        _needed(arm, stage, "reads", name, REWARD, place)


def _needed(arm: ArmSpec, stage: StageSpec, how: str, name: str, kind: str, place: str | None) -> StageSpec:
    """A stage that another one needs: it is there, comes before it, and trains what is needed."""
    fact = f"stage {stage.stage_name} of arm {arm.name} {how} {name}"
    known = {one.stage_name: one for one in arm.stages}
    if name not in known:
        raise unknown_name(f"stage of arm {arm.name}", name, list(known), where=place)
    names = list(known)
    if names.index(name) >= names.index(stage.stage_name):
        remedy = "name a stage that stands above it"
        raise UserError(f"{fact}, which does not come before it", where=place, remedy=remedy)
    if _trains(known[name]) != kind:
        fact += f", which trains a {_trains(known[name])} and no {kind}"
        key = "from" if kind == POLICY else "reward_model"
        raise UserError(fact, where=place, remedy=f"write {key}: and a stage that trains a {kind}")
    return known[name]


def _trains(stage: StageSpec) -> str:
    """A policy, or a reward; methods of older packages train policies."""
    about = getattr(registry.load("methods", stage.method), "ABOUT", None)
    return str(getattr(about, "trains", POLICY))
