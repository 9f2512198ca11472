"""From a comparison file, the arm files it names and the command line to one checked spec."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness import registry
from harness.errors import UserError, unknown_name
from harness.pipeline._parity_checks import CHECKS
from harness.pipeline.spec import ArmSpec, ComparisonSpec, DataSpec, QuestionSpec, StageSpec, TrainConfig
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import Document, KeyPath, read
from harness.records import ComparisonRecord

COSTS = ("wall_seconds", "peak_memory_bytes", "flops", "energy_joules")
SHIPPED = Path(__file__).resolve().parents[2] / "pipelines"


@dataclass(frozen=True)
class Overrides:
    """What the command line says over the file; None leaves the file's word."""

    model: str | None = None
    data: str | None = None
    arms: Sequence[str] | None = None
    seeds: str | None = None
    score: Sequence[str] | None = None
    sets: Sequence[str] = field(default_factory=tuple)


def find_comparison(name: str | None, *, model: str | None) -> Path:
    """The file of a comparison given by path or name.

    Without a name the embedded comparison is the default, and UltraFeedback's where a model is
    named, since the embedded world's words mean nothing to another model.
    """
    if name is None:
        name = "embedded" if model in (None, "embedded") else "ultrafeedback"
    return _find(name, "comparison")


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
    sources = _apply(data, overrides)
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
    spec = validate(ComparisonSpec, data, where=where)
    _check_names(spec, where)
    for arm in spec.arms:
        for stage in arm.stages:
            stage_config(spec, stage, where=where)
    for name in spec.score:
        benchmark_config(spec, name, where=where)
    if spec.if_too_large is not None and not too_large:
        load_comparison(path, overrides, too_large=True)
    return spec


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes: 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def changed_since(record: ComparisonRecord) -> str | None:
    """How a run's comparison file differs from what it was, None where it does not or cannot be read."""
    path = Path(record.file) if record.file else None
    if path is None or not path.is_file() or file_digest(path) == record.file_digest:
        return None
    try:
        now = read(path).data.get("questions") or []
        now = [QuestionSpec.model_validate(question).model_dump() for question in now]
    except (UserError, ValueError, AttributeError):
        now = None
    same = now == (record.plan.spec.get("questions") or [])
    what = "though not its questions" if same else "its questions too: the report answers those of the run"
    return f"The comparison file {path.name} was changed after the run, {what}."


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


def _find(name: str, kind: str) -> Path:
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UserError("no such file", where=name, remedy=f"give the path of a {kind} file")
        return path
    for folder in (Path("pipelines"), SHIPPED):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    raise unknown_name(kind, name, known_pipelines(kind))


def known_pipelines(kind: str) -> list[str]:
    """Names of the arm or comparison files in ./pipelines and of the shipped ones."""
    found = set()
    for folder in (Path("pipelines"), SHIPPED):
        for path in sorted(folder.glob("*.yaml")):
            head = path.read_text(encoding="utf-8")
            if f"\nkind: {kind}\n" in f"\n{head}":
                found.add(path.stem)
    return sorted(found)


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
    if entry["pipeline"] not in known_pipelines("arm") and "/" not in entry["pipeline"]:
        raise unknown_name("arm", entry["pipeline"], known_pipelines("arm"), where=where)
    document = read(_find(entry["pipeline"], "arm"))
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


def _apply(data: dict[str, Any], overrides: Overrides) -> dict[KeyPath, str]:
    """Write the overrides into `data`; returns which flag set which key."""
    sources: dict[KeyPath, str] = {}
    simple: Mapping[str, Any] = {
        "model": overrides.model,
        "arms": list(overrides.arms) if overrides.arms else None,
        "score": list(overrides.score) if overrides.score else None,
        "seeds": parse_seeds(overrides.seeds) if overrides.seeds is not None else None,
    }
    for key, value in simple.items():
        if value is not None:
            data[key] = value
            sources[(key,)] = f"--{key}"
    if overrides.data is not None:
        previous = data.get("data") or {}
        kept = ("max_length", "limit", "test_limit", "chat_template", "unknown_token_limit", "test_overlap")
        data["data"] = {k: v for k, v in previous.items() if k in kept}
        data["data"]["source"] = overrides.data
        sources[("data", "source")] = "--data"
    for text in overrides.sets:
        key_path = set_field(data, text)
        sources[key_path] = f"--set {'.'.join(key_path)}"
    return sources


def parse_seeds(text: str) -> list[int]:
    """`5` means seeds 0 to 4; `3,5,8` names them."""
    try:
        numbers = [int(part) for part in text.replace(" ", ",").split(",") if part]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and not numbers[0]):
        raise UserError(
            f"--seeds is {text}", remedy="give how many seeds (1 or more), or a list such as 3,5,8"
        )
    if len(numbers) == 1 and "," not in text:
        return list(range(numbers[0]))
    if len(set(numbers)) != len(numbers):
        raise UserError(f"--seeds {text} names a seed twice", remedy="name each seed once")
    return numbers


def parse_setting(text: str) -> tuple[KeyPath, Any]:
    """`stages.dpo.beta=0.05` as a key's path and a value; raises UserError for anything else."""
    key, separator, value = text.partition("=")
    path = tuple(part for part in key.strip().split(".") if part)
    if not separator or not path:
        raise UserError(f"--set {text} has no value", remedy="write KEY=VALUE, such as stages.dpo.beta=0.05")
    try:
        return path, _number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise UserError(f"--set {text} is not valid YAML", remedy="quote the value") from error


def set_field(data: dict[str, Any], text: str) -> KeyPath:
    """Write `KEY=VALUE` into `data`; returns the key's path."""
    path, value = parse_setting(text)
    here = data
    for part in path[:-1]:
        inner = here.get(part)
        if not isinstance(inner, dict):
            inner = {}
            here[part] = inner
        here = inner
    here[path[-1]] = value
    return path


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-5 as text; on the command line it is a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


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
    known = {stage.stage_name for arm in spec.arms for stage in arm.stages}
    known |= set(registry.names("methods"))
    for name in spec.stages:
        if name not in known:
            raise unknown_name("stage", name, known, where=where(("stages", name)))
    common = {field.alias or key for key, field in TrainConfig.model_fields.items()}
    for key in spec.training:
        if key not in common:
            raise unknown_name("key of training", key, common, where=where(("training", key)))
    _check_reach(spec, where)
    for number, question in enumerate(spec.questions):
        _check_quantity(question.quantity, where(("questions", str(number), "quantity")))
    for name in spec.allow_unequal:
        if name not in CHECKS:
            raise unknown_name("parity check", name, CHECKS, where=where(("allow_unequal",)))
    if spec.model_revision is not None and spec.model == "embedded":
        raise UserError(
            "model_revision is set", where=where(("model_revision",)), remedy="the embedded model has none"
        )


def _check_quantity(quantity: str, where: str | None) -> None:
    """Raise UserError for a quantity that no run can have."""
    group, _, name = quantity.partition(".")
    if group == "cost":
        if name not in COSTS:
            raise unknown_name("cost", name, COSTS, where=where)
        return
    benchmark = group.partition("/")[0].partition("@")[0]
    registry.check("benchmarks", benchmark, where=where)
    if not name:
        raise UserError(
            f"question {quantity} names no metric", where=where, remedy="write benchmark.metric or cost.NAME"
        )


def _check_reach(spec: ComparisonSpec, where: Any) -> None:
    """Raise UserError for a stage's setting that every arm with this stage overrides."""
    for name, settings in spec.stages.items():
        own = [s.config for arm in spec.arms for s in arm.stages if s.stage_name == name]
        for key in settings:
            if own and all(key in config for config in own):
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
