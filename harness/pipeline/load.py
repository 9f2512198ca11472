"""From a comparison file, the arm files it names and the command line to one checked spec."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness import registry
from harness.errors import UserError
from harness.pipeline.accelerate_file import take_up
from harness.pipeline.checked import ROLES, check_looks, check_names, check_seeds, check_sides
from harness.pipeline.data_spec import DataSpec
from harness.pipeline.find import find_file
from harness.pipeline.lineage import check_lineage
from harness.pipeline.load_arm import Place, load_arm, require_kind
from harness.pipeline.no_secrets import check_no_secrets
from harness.pipeline.overrides import Overrides, apply_overrides, set_field
from harness.pipeline.questions_spec import LookSpec
from harness.pipeline.spec import ArmSpec, ComparisonSpec, StageSpec
from harness.pipeline.sweep import points
from harness.pipeline.training_spec import TrainConfig
from harness.pipeline.tuning_checked import check_tuning
from harness.pipeline.tuning_draws import with_settings
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import Document, KeyPath, read

WRITTEN_BY_RUNS = {
    "look": ("--until-decided", "take it out; `looks` says how many seeds each look uses"),
    "halvings": (
        "a run whose memory ran out",
        "take it out; training.micro_batch_size sets the size",
    ),
    "development": ("the trials of a search", "take it out; `tuning` says what is searched"),
}
"""Keys that only a run may set: who does, and what a user does in their place."""


def nowhere(key: KeyPath) -> None:
    """No place is known."""


def most_devices(spec: ComparisonSpec) -> int:
    """How many devices the training stage that has most of them asks for."""
    return max((stage_config(spec, stage).devices for arm in spec.arms for stage in arm.stages), default=1)


def find_comparison(name: str | None, *, model: str | None) -> Path:
    """The file of a comparison given by path or name.

    Without a name the embedded comparison is the default, and UltraFeedback's where a model is
    named, since the embedded world's words mean nothing to another model.
    """
    if name is None:
        name = "embedded" if model in (None, "embedded") else "ultrafeedback"
    return find_file(name, "comparison")


def load_comparison(
    path: Path, overrides: Overrides | None = None, *, too_large: bool = False
) -> ComparisonSpec:
    """Read, override and check a comparison; raises UserError for the first mistake.

    `too_large` puts `if_too_large` over the file's settings; the command line still wins.
    """
    overrides = overrides or Overrides()
    document = read(path)
    require_kind(document, "comparison")
    data = copy.deepcopy(document.data)
    sources = apply_overrides(data, overrides)
    if too_large:
        _fall_back(data)
        for text in overrides.sets:
            if not text.startswith("if_too_large."):
                set_field(data, text)

    def where(key: KeyPath) -> str | None:
        smaller = ("if_too_large", *key)
        key = smaller if too_large and (smaller in sources or smaller in document.lines) else key
        return _flag_of(key, sources, document) or document.where(key)

    entries = _entries(data.get("arms"), where(("arms",)))
    read_arms = [load_arm(entry, index, where) for index, entry in enumerate(entries)]
    data["arms"] = [arm.data for arm in read_arms]
    _refuse_what_runs_write(data, where)
    take_up(data, where)
    spec = validate(ComparisonSpec, data, where=where)
    check_no_secrets(spec, where)
    check_names(spec, where)
    check_seeds(spec, where)
    # Seeds that the command line names may be fewer than the looks that it does not ask for.
    if overrides.look is not None or overrides.seeds is None:
        check_looks(spec, where)
    # The file's own arms may not be among those that the command line names.
    check_sides(spec, where, roles=[role for role in ROLES if not overrides.arms or role in sources])
    for index, arm in enumerate(spec.arms):
        for number, stage in enumerate(arm.stages):
            own = partial(read_arms[index].place, number)
            stage_config(spec, stage, where=where, own=own)
    check_lineage(spec, partial(stage_config, spec), where)
    for name in spec.score:
        benchmark_config(spec, name, where=where)
    check_tuning(spec, where, stage_config)
    if spec.if_too_large is not None and not too_large:
        load_comparison(path, overrides, too_large=True)
    for point in points(spec.sweep):
        load_comparison(path, replace(overrides, point=point))
    if overrides.tuned is not None:
        arms = [with_settings(arm, overrides.tuned.get(arm.name, {})) for arm in spec.arms]
        spec = spec.model_copy(update={"arms": arms})
    return spec if overrides.look is None else _at_look(spec, overrides.look)


def _refuse_what_runs_write(data: Mapping[str, Any], where: Place) -> None:
    """Raise UserError for a key that only a run may set."""
    for key, (writer, remedy) in WRITTEN_BY_RUNS.items():
        if key in data:
            raise UserError(f"{key} is written by {writer}", where=where((key,)), remedy=remedy)


def _flag_of(key: KeyPath, sources: Mapping[KeyPath, str], document: Document) -> str | None:
    """The flag that set `key`, or something within it where the file does not have it."""
    above = [flag for path, flag in sources.items() if key[: len(path)] == path]
    within = [flag for path, flag in sources.items() if path[: len(key)] == key]
    return next(iter(above or (within if key not in document.lines else [])), None)


def _at_look(spec: ComparisonSpec, look: LookSpec) -> ComparisonSpec:
    """The comparison with the seeds of one of its looks."""
    assert spec.looks is not None, "only a file with looks is looked at"
    seeds = spec.seeds[: spec.looks[look.number - 1]]
    return spec.model_copy(update={"look": look, "seeds": seeds})


def _fall_back(data: dict[str, Any]) -> None:
    """Put `if_too_large` over `training` and `stages`; a malformed one is left to validation."""
    smaller = data.get("if_too_large")
    if not isinstance(smaller, dict):
        return
    del data["if_too_large"]
    data["fell_back"] = True
    data["training"] = {**(data.get("training") or {}), **(smaller.get("training") or {})}
    stages = dict(data.get("stages") or {})
    for name, settings in (smaller.get("stages") or {}).items():
        stages[name] = {**stages.get(name, {}), **settings}
    data["stages"] = stages


def stage_config(
    spec: ComparisonSpec, stage: StageSpec, *, where: Place = nowhere, own: Place = nowhere
) -> TrainConfig:
    """The method's checked config of one stage: `training`, then `stages.<name>`, then the arm.

    `where` and `own` tell the place of a key of the comparison's, and of the arm's.
    """
    module = registry.load("methods", stage.method)
    merged = {**spec.training, **spec.stages.get(stage.stage_name, {}), **stage.config}
    prefix = ("stages", stage.stage_name)

    def place(key: KeyPath) -> str | None:
        leaf = key[len(prefix) :][:1]
        if not leaf and spec.training and prefix[1] not in spec.stages:
            return where(("training",))
        if leaf and leaf[0] in stage.config:
            return own(key)
        if leaf and leaf[0] in spec.training and leaf[0] not in spec.stages.get(prefix[1], {}):
            return where(("training", *key[len(prefix) :]))
        return where(key)

    config: TrainConfig = validate(module.Config, merged, prefix=prefix, where=place)
    return config


def benchmark_config(spec: ComparisonSpec, name: str, *, where: Place = nowhere) -> Any:
    """The checked config of one benchmark."""
    module = registry.load("benchmarks", name)
    return validate(module.Config, spec.benchmarks.get(name, {}), prefix=("benchmarks", name), where=where)


def _entries(arms: Any, where: str | None) -> list[Any]:
    if not isinstance(arms, list) or not arms:
        raise UserError("arms names no arm", where=where, remedy="list at least one arm")
    return arms


def sft_data_of(arm: ArmSpec) -> DataSpec | None:
    """The arm's own SFT data, or None where it clones the chosen answers of the pairs."""
    if isinstance(arm.sft_data, str):
        return DataSpec(source=arm.sft_data)
    return arm.sft_data
