"""What a plan needs to know of the outside world: code, packages, named files, variables, the machine."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.benchmarks import Benchmark, ComparesCells, ScoresAnswers, ScoresModel, load_benchmark
from harness.data import base_model
from harness.data.sources import looks_local
from harness.errors import UserError
from harness.executors.opening import places_of, spreads
from harness.generate.engines import cannot, check_installed
from harness.judges import load_judge
from harness.measure.environment import UNKNOWN_DEVICE, device_identity, driver_version
from harness.methods import load_method
from harness.pipeline.covers import OPTIONAL, judges_in, sft_source
from harness.pipeline.data_spec import DataSpec
from harness.pipeline.load import benchmark_config, most_devices, sft_data_of, stage_config
from harness.pipeline.named import NamesFiles, NeedsHub
from harness.pipeline.resolved import ITS_JUDGE, VARIABLES, VARIABLES_OF_PACKAGES, Reach, Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import STOCK
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import KeyPath
from harness.running.code import OURS, reached
from harness.running.contents import digest_of_path, digests_of, hub_commit
from harness.running.packages import Packages
from harness.running.sources import Sources
from harness.stages.runner import child_environment

KINDS = (
    "prepare",
    "check",
    "rehearse",
    "rehearse_evaluate",
    "train",
    "evaluate",
    "judge",
    "export",
    "speed",
    "sample",
)
THIS_PROCESS = uuid.uuid4().hex[:8]
"""Makes a device that cannot be told apart from others one of this process alone."""


def resolve(
    spec: ComparisonSpec,
    *,
    beside: Sequence[tuple[str, str]] = (),
    judge: tuple[str, Mapping[str, Any]] | None = None,
) -> Resolved:
    """Everything that a stage's result depends on; `beside` are plug-ins (group, name) that the comparison
    does not name, `judge` one with its settings. Raises UserError for what is missing."""
    _check_engine(spec)
    benchmarks = {name: load_benchmark(name) for name in spec.score}
    packages = Packages()
    installed = {name: packages.version(name) for name in OPTIONAL}
    place = places_of(spec.executor)[0] if spreads(spec.executor, most_devices(spec)) else None
    variables = {**child_environment(), **(place.variables if place else {})}
    device = place.kind if place else _device()
    files = {**_files_of_benchmarks(spec, benchmarks), **_files_of_stages(spec), **_files_of_data(spec)}
    if judge is not None:
        files[ITS_JUDGE] = _files_of_judges({"judge": judge[0], "judge_config": judge[1]}, "--judge", ())
    return Resolved(
        reach=_reach(spec, packages, beside),
        files=files,
        optional={name: version for name, version in installed.items() if version is not None},
        environment={name: variables[name] for name in _listed_variables() if name in variables},
        device=device,
        driver=None if device.startswith("cpu") else driver_version(),
        judged=frozenset(n for n, m in benchmarks.items() if isinstance(m, ComparesCells)),
        scored=frozenset(n for n, m in benchmarks.items() if isinstance(m, ScoresModel | ScoresAnswers)),
    )


def _check_engine(spec: ComparisonSpec) -> None:
    """Raise UserError for an engine of answers that is not there, or not for what an arm trains."""
    if not spec.score:
        return
    check_installed(spec.generation.engine)
    trained = [stage_config(spec, arm.stages[-1]) for arm in spec.arms]
    for config in trained if spec.generation.engine == "vllm" else []:
        if config.quantization != "none":
            raise cannot(f"weights quantised to {config.quantization}")
        if config.lora is not None and config.lora.modules_to_save:
            raise cannot("adapters with modules_to_save")


def _listed_variables() -> list[str]:
    return [*VARIABLES, *(name for names in VARIABLES_OF_PACKAGES.values() for name in names)]


def _device() -> str:
    """The device's identity; one that cannot be known is never the same as in another run."""
    device = device_identity()
    return f"{device} of process {THIS_PROCESS}" if device == UNKNOWN_DEVICE else device


def _reach(spec: ComparisonSpec, installed: Packages, beside: Sequence[tuple[str, str]]) -> dict[str, Reach]:
    """What each root of some stage reaches."""
    sources = Sources()
    modules = {f"stages.{name}": f"harness.stages.{name}" for name in (*KINDS, "child")}
    for group, name in dict.fromkeys([*_plug_ins(spec), *beside]):
        modules[f"{group}.{name}"] = registry.module_of(group, name)
        if group == "methods":
            modules[f"{STOCK}.{name}"] = f"harness.{STOCK}.{name}"
    reach = {}
    for root, module in modules.items():
        top = module.partition(".")[0]
        code = reached(module, sources, [] if top == OURS else installed.modules_beside(top))
        packages = {**installed.versions_of(code.modules), "python": platform.python_version()}
        reach[root] = Reach(code.files, packages)
    return reach


def _plug_ins(spec: ComparisonSpec) -> Iterator[tuple[str, str]]:
    yield from (("methods", stage.method) for arm in spec.arms for stage in arm.stages)
    for name in spec.score:
        yield "benchmarks", name
        yield from (("judges", judge) for judge, _ in judges_in(benchmark_config(spec, name).model_dump()))


def _files_of_data(spec: ComparisonSpec) -> dict[str, Mapping[str, str]]:
    """Model, data, an arm's own SFT data, and the chat template where it is a file."""
    files = {"model": _model_digest(spec), "data": _data_digest(spec.data)}
    sft_by_arm = {arm.name: sft_data_of(arm) for arm in spec.arms}
    files |= {sft_source(arm): _data_digest(data) for arm, data in sft_by_arm.items() if data is not None}
    return {"prepare": {**files, **digests_of([Path(spec.data.chat_template)])}}


def _files_of_stages(spec: ComparisonSpec) -> dict[str, Mapping[str, str]]:
    return {
        f"{arm.name}/{stage.stage_name}": _named(load_method(stage.method), stage_config(spec, stage))
        for arm in spec.arms
        for stage in arm.stages
    }


def _files_of_benchmarks(
    spec: ComparisonSpec, benchmarks: Mapping[str, Benchmark]
) -> dict[str, Mapping[str, str]]:
    files: dict[str, Mapping[str, str]] = {}
    for name, module in benchmarks.items():
        config = benchmark_config(spec, name)
        files[f"benchmarks.{name}"] = _named(module, config)
        place = ("benchmarks", name, "judge_config")
        of_judges = _files_of_judges(config.model_dump(), f"benchmarks.{name}.judge", place)
        files[f"judges of {name}"] = of_judges
    return files


def _files_of_judges(config: Mapping[str, Any], where: str, prefix: KeyPath) -> dict[str, str]:
    """Digests of what all judges in some settings name."""
    found: dict[str, str] = {}
    for judge, settings in judges_in(config):
        asked = load_judge(judge, where=where)
        found |= _named(asked, validate(asked.Config, settings, prefix=prefix))
    return found


def _named(module: object, config: Any) -> dict[str, str]:
    """Digests of what the settings name, if the module says what they do."""
    return digests_of(module.files(config)) if isinstance(module, NamesFiles) else {}


def is_local(spec: ComparisonSpec) -> bool:
    """Whether nothing of `spec` has to come from a hub."""
    model = spec.model.removeprefix(base_model.CONFIG_PREFIX)
    local_model = model == "embedded" or Path(model).exists()
    local_data = spec.data.source == "embedded" or Path(spec.data.source).exists()
    hub_sft = any(
        not Path(arm.sft_data if isinstance(arm.sft_data, str) else arm.sft_data.source).exists()
        for arm in spec.arms
        if arm.sft_data is not None
    )
    return local_model and local_data and not hub_sft and not _scores_need_hub(spec)


def _scores_need_hub(spec: ComparisonSpec) -> bool:
    for name in spec.score:
        module = load_benchmark(name)
        if isinstance(module, NeedsHub) and module.needs_hub(benchmark_config(spec, name)):
            return True
    return False


def _model_digest(spec: ComparisonSpec) -> str:
    model = spec.model
    if model == "embedded":
        return base_model.digest_folder(base_model.EMBEDDED)
    path = Path(model.removeprefix(base_model.CONFIG_PREFIX))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(
                "holds no config.json", where=str(path), remedy="give a folder that transformers can load"
            )
        return base_model.digest_folder(path)
    if model.startswith((base_model.CONFIG_PREFIX, *base_model.LOCAL)):
        raise UserError("no such model folder", where=str(path), remedy="check the path of --model")
    return f"{model}@{hub_commit(model, spec.model_revision, 'model')}"


def _data_digest(data: DataSpec) -> str:
    path = Path(data.source)
    if data.source == "embedded":
        return "embedded"
    if path.exists():
        return digest_of_path(path)
    if looks_local(data.source):
        raise UserError("no such file or folder", where=data.source, remedy="check the path of --data")
    return f"{data.source}@{hub_commit(data.source, data.revision, 'dataset')}"
