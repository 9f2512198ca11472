"""What a comparison needs from outside: models, data sets, what benchmarks fetch, servers that judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.benchmarks import load_benchmark
from harness.data import base_model
from harness.data.sources import find_splits, looks_local
from harness.errors import UserError
from harness.judges import load_judge
from harness.methods import load_method
from harness.pipeline.covers import judges_in
from harness.pipeline.data_spec import DataSpec
from harness.pipeline.load import benchmark_config, load_comparison, sft_data_of, stage_config
from harness.pipeline.named import AsksServer, Fetches, HubRepo, Named, NamesFiles
from harness.pipeline.overrides import Overrides
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.sweep import points
from harness.pipeline.validate import validate
from harness.records import FetchedNeed, LeftOut

TAKE_ALONG = "it is a path of yours: it is read where it stands, so take it along"


@dataclass(frozen=True)
class Wanted:
    """A need, and how to have it in the caches that the environment points at."""

    need: FetchedNeed
    bring: Callable[[], object]
    repo: HubRepo | None = None


def every_spec(path: Path, overrides: Overrides) -> list[ComparisonSpec]:
    """The comparison of a file, or that of every point of its sweep."""
    spec = load_comparison(path, overrides)
    at = [load_comparison(path, replace(overrides, point=point)) for point in points(spec.sweep)]
    return at or [spec]


def wanted_by(*specs: ComparisonSpec) -> list[Wanted]:
    """What has to be fetched for comparisons, each need once."""
    found: list[Wanted] = []
    everything = (one for spec in specs for of in (_of_model, _of_data, _of_plug_ins) for one in of(spec))
    for wanted in everything:
        if not any(wanted.need.is_like(one.need) for one in found):
            found.append(wanted)
    return found


def left_out(spec: ComparisonSpec) -> list[LeftOut]:
    """Judges that are servers, and paths of the user's own."""
    judges = [
        LeftOut(
            what=f"judge {judge} of benchmark {name}",
            why=f"it asks a server ({server}), so --offline needs another judge",
        )
        for name, judge, server in servers(spec)
    ]
    return [*judges, *(LeftOut(what=str(path), why=TAKE_ALONG) for path in _paths(spec))]


def servers(spec: ComparisonSpec) -> Iterator[tuple[str, str, str]]:
    """(benchmark, judge, address) of each judge that is asked over a network."""
    for name in spec.score:
        for judge, settings in judges_in(benchmark_config(spec, name).model_dump()):
            module = load_judge(judge, where=f"benchmarks.{name}.judge")
            address = (
                module.server(_settings(name, module, settings)) if isinstance(module, AsksServer) else None
            )
            if address is not None:
                yield name, judge, address


def _of_model(spec: ComparisonSpec) -> Iterator[Wanted]:
    if spec.model.startswith(base_model.CONFIG_PREFIX) or _is_path(spec.model):
        return
    own = spec.trust_remote_code
    need = FetchedNeed(
        kind="model",
        name=spec.model,
        revision=spec.model_revision,
        settings="with its own code" if own else "",
    )
    bring = partial(_bring_base_model, spec.model, spec.model_revision, own)
    yield Wanted(need, bring, HubRepo(spec.model, "model", spec.model_revision))


def _bring_base_model(name: str, revision: str | None, own_code: bool) -> None:
    with TemporaryDirectory() as folder:
        base = base_model.locate(name, revision, Path(folder), own_code=own_code)
        base_model.load_tokenizer(base)


def _of_data(spec: ComparisonSpec) -> Iterator[Wanted]:
    for data in _data_sets(spec):
        if not _is_path(data.source):
            need = FetchedNeed(
                kind="data set", name=data.source, revision=data.revision, settings=data.config or ""
            )
            yield Wanted(need, partial(find_splits, data), HubRepo(data.source, "dataset", data.revision))


def _data_sets(spec: ComparisonSpec) -> list[DataSpec]:
    of_arms = [sft_data_of(arm) for arm in spec.arms]
    return [spec.data, *(data for data in of_arms if data is not None)]


def _of_plug_ins(spec: ComparisonSpec) -> Iterator[Wanted]:
    for label, module, config in _plug_ins(spec):
        if isinstance(module, Fetches):
            for want in module.wants(config):
                need = FetchedNeed(kind="files of", name=label, settings=want)
                yield Wanted(need, partial(module.fetch, config, want))
            continue
        for one in _named(module, config):
            if isinstance(one, HubRepo):
                yield _repository(one)


def _repository(repo: HubRepo) -> Wanted:
    if repo.kind == "model":
        need = FetchedNeed(kind="model", name=repo.name, revision=repo.revision)
        return Wanted(need, partial(base_model.snapshot, repo.name, repo.revision), repo)
    need = FetchedNeed(kind="data set", name=repo.name, revision=repo.revision)
    return Wanted(need, partial(find_splits, DataSpec(source=repo.name, revision=repo.revision)), repo)


def _plug_ins(spec: ComparisonSpec) -> Iterator[tuple[str, object, Any]]:
    """(label, module, checked settings) of the benchmarks, their judges, and the methods of all stages."""
    for name in spec.score:
        config = benchmark_config(spec, name)
        yield f"benchmark {name}", load_benchmark(name), config
        for judge, settings in judges_in(config.model_dump()):
            module = load_judge(judge, where=f"benchmarks.{name}.judge")
            yield f"judge {judge}", module, _settings(name, module, settings)
    for arm in spec.arms:
        for stage in arm.stages:
            yield f"stage {stage.stage_name}", load_method(stage.method), stage_config(spec, stage)


def _settings(benchmark: str, module: Any, settings: dict[str, Any]) -> Any:
    return validate(module.Config, settings, prefix=("benchmarks", benchmark, "judge_config"))


def _named(module: object, config: Any) -> list[Named]:
    return module.files(config) if isinstance(module, NamesFiles) else []


def _is_path(source: str) -> bool:
    return source == "embedded" or Path(source).exists() or looks_local(source)


def _paths(spec: ComparisonSpec) -> list[Path]:
    """The user's own files and folders that settings name; raises UserError for one that is not there."""
    of_model = spec.model.removeprefix(base_model.CONFIG_PREFIX)
    is_path = of_model != spec.model or _is_path(of_model)
    data = [one.source for one in _data_sets(spec) if _is_path(one.source)]
    named = [name for name in ([of_model] if is_path else []) + data if name != "embedded"]
    missing = next((name for name in named if not Path(name).exists()), None)
    if missing is not None:
        raise UserError(
            "no such file or folder", where=missing, remedy="check the paths of --model and --data"
        )
    files = [one for _, module, config in _plug_ins(spec) for one in _named(module, config)]
    others = [one for one in files if isinstance(one, Path) and one.exists() and not _is_installed(one)]
    return list(dict.fromkeys([*map(Path, named), *others]))


def _is_installed(path: Path) -> bool:
    """Whether a file comes with this package or another one, and so is wherever they are."""
    package = Path(base_model.__file__).resolve().parents[1]
    return package in path.resolve().parents or "site-packages" in path.resolve().parts
