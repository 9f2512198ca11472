"""From a comparison file, the arm files it names and the command line to one checked spec."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline._parity_checks import CHECKS
from harness.pipeline.find import find_file
from harness.pipeline.no_secrets import check_no_secrets
from harness.pipeline.overrides import Overrides, apply_overrides, set_field
from harness.pipeline.spec import RENAMED, ArmSpec, ComparisonSpec, DataSpec, LookSpec, StageSpec, TrainConfig
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import Document, KeyPath, read
from harness.quantities import AGGREGATE, COST, COST_NAMES


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
    _require_kind(document, "comparison")
    data = copy.deepcopy(document.data)
    sources = apply_overrides(data, overrides)
    if too_large:
        _fall_back(data)
        for text in overrides.sets:
            if not text.startswith("if_too_large."):
                set_field(data, text)

    def where(key: KeyPath) -> str | None:
        flag = next((f for k, f in sources.items() if key[: len(k)] == k), None)
        return flag or document.where(key)

    data["arms"] = [
        _load_arm(entry, where(("arms", str(index))))
        for index, entry in enumerate(_entries(data.get("arms"), document))
    ]
    if "look" in data:
        raise UserError(
            "look is written by --until-decided",
            where=where(("look",)),
            remedy="take it out; `looks` says how many seeds each look uses",
        )
    if "halvings" in data:
        raise UserError(
            "halvings is written by a run whose memory ran out",
            where=where(("halvings",)),
            remedy="take it out; training.micro_batch_size sets the size",
        )
    spec = validate(ComparisonSpec, data, where=where)
    check_no_secrets(spec, where)
    _check_names(spec, where)
    # Seeds that the command line names may be fewer than the looks that it does not ask for.
    if overrides.look is not None or overrides.seeds is None:
        _check_looks(spec, where)
    if not overrides.arms:
        _check_sides(spec, where)
    for arm in spec.arms:
        for stage in arm.stages:
            stage_config(spec, stage, where=where)
    for name in spec.score:
        benchmark_config(spec, name, where=where)
    if spec.if_too_large is not None and not too_large:
        load_comparison(path, overrides, too_large=True)
    return spec if overrides.look is None else _at_look(spec, overrides.look)


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


def stage_config(spec: ComparisonSpec, stage: StageSpec, *, where: Any = lambda key: None) -> TrainConfig:
    """The method's checked config of one stage: `training`, then `stages.<name>`, then the arm."""
    module = registry.load("methods", stage.method)
    merged = {**spec.training, **spec.stages.get(stage.stage_name, {}), **stage.config}
    prefix = ("stages", stage.stage_name)

    def place(key: KeyPath) -> str | None:
        leaf = key[len(prefix) :][:1]
        if leaf and leaf[0] in spec.training and leaf[0] not in spec.stages.get(prefix[1], {}):
            return where(("training", *key[len(prefix) :]))  # type: ignore[no-any-return]
        return where(key)  # type: ignore[no-any-return]

    config: TrainConfig = validate(module.Config, merged, prefix=prefix, where=place)
    return config


def benchmark_config(spec: ComparisonSpec, name: str, *, where: Any = lambda key: None) -> Any:
    """The checked config of one benchmark."""
    module = registry.load("benchmarks", name)
    return validate(module.Config, spec.benchmarks.get(name, {}), prefix=("benchmarks", name), where=where)


def _require_kind(document: Document, kind: str) -> None:
    given = document.data.get("kind")
    if given != kind:
        raise UserError(f"kind is {given!r}", where=document.where(("kind",)), remedy=f"give a {kind} file")


def _entries(arms: Any, document: Document) -> list[Any]:
    if not isinstance(arms, list) or not arms:
        raise UserError("arms names no arm", where=document.where(("arms",)), remedy="list at least one arm")
    return arms


def _load_arm(entry: Any, where: str | None) -> dict[str, Any]:
    """An arm by name, or `{pipeline: NAME, name: ..., stages: {...}, sft_data: ...}`."""
    if isinstance(entry, str):
        entry = {"pipeline": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("pipeline"), str):
        raise UserError(
            f"arm {entry!r} is no name", where=where, remedy="give an arm's name or {pipeline: NAME}"
        )
    known = ["pipeline", "name", "stages", "sft_data", "seed_offset"]
    unknown = set(entry) - {*known}
    if unknown:
        raise unknown_name("key of an arm", sorted(unknown)[0], known, where=where)
    document = read(find_file(entry["pipeline"], "arm", where=where))
    _require_kind(document, "arm")
    arm = validate(ArmSpec, document.data, where=document.where)
    for index, stage in enumerate(arm.stages):
        registry.check("methods", stage.method, where=document.where(("stages", str(index), "method")))
    overrides = entry.get("stages") or {}
    known_stages = [stage.stage_name for stage in arm.stages]
    for name in overrides:
        if name not in known_stages:
            raise unknown_name(f"stage of arm {arm.name}", name, known_stages, where=where)
    stages = [
        {**s.model_dump(), "config": {**s.config, **overrides.get(s.stage_name, {})}} for s in arm.stages
    ]
    return {
        **arm.model_dump(),
        "name": entry.get("name", arm.name),
        "sft_data": entry.get("sft_data", arm.sft_data),
        "seed_offset": entry.get("seed_offset", arm.seed_offset),
        "stages": stages,
    }


def _check_names(spec: ComparisonSpec, where: Any) -> None:
    names = [arm.name for arm in spec.arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"arm {name} stands twice", where=where(("arms",)), remedy="give each a name of its own"
            )
    for name in spec.score:
        registry.check("benchmarks", name, where=where(("score",)))
    for name in spec.benchmarks:
        registry.check("benchmarks", name, where=where(("benchmarks", name)))
    for name in spec.tracking:
        registry.check("trackers", name, where=where(("tracking",)))
    known = {stage.stage_name for arm in spec.arms for stage in arm.stages}
    known |= set(registry.names("methods"))
    for name in spec.stages:
        if name not in known:
            raise unknown_name("stage", name, known, where=where(("stages", name)))
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
    if spec.model_revision is not None and spec.model == "embedded":
        raise UserError(
            "model_revision is set", where=where(("model_revision",)), remedy="the embedded model has none"
        )


def _check_looks(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for looks that need more seeds than there are."""
    if spec.looks is not None and spec.looks[-1] > len(spec.seeds):
        raise UserError(
            f"the last look uses {spec.looks[-1]} seeds and there are {len(spec.seeds)}",
            where=where(("seeds",)),
            remedy=f"give {spec.looks[-1]} seeds, or end looks at {len(spec.seeds)}",
        )


def _check_sides(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for a role of, or a question about, an arm that the file does not hold."""
    known = [*(arm.name for arm in spec.arms), "base"]
    for role, arm in (("baseline", spec.baseline), ("cost_reference", spec.cost_reference)):
        if arm not in known:
            raise unknown_name("arm", arm, known, where=where((role,)))
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


def sft_data_of(arm: ArmSpec) -> DataSpec | None:
    """The arm's own SFT data, or None where it clones the chosen answers of the pairs."""
    if isinstance(arm.sft_data, str):
        return DataSpec(source=arm.sft_data)
    return arm.sft_data
