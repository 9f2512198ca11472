"""What a plan needs to know of the outside world: which model, which data, which machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import harness
from harness import registry
from harness.data import base_model
from harness.data.load import looks_local
from harness.errors import UserError
from harness.measure.environment import device_identity, versions
from harness.pipeline.load import benchmark_config
from harness.pipeline.plan import Resolved, digest_of
from harness.pipeline.spec import ComparisonSpec, DataSpec

RESULT_ROOMS = ("methods", "data", "generate", "benchmarks", "judges", "measure", "stages")


def resolve(spec: ComparisonSpec) -> Resolved:
    """Digests of everything that a stage's result depends on; raises UserError for what is missing."""
    own_sft = [arm.sft_data for arm in spec.arms if arm.sft_data is not None]
    sources = [spec.data, *(DataSpec(source=s) if isinstance(s, str) else s for s in own_sft)]
    judged = {n for n in spec.score if hasattr(registry.load("benchmarks", n), "score_cells")}
    return Resolved(
        model=_model_digest(spec),
        data=digest_of([_data_digest(source) for source in sources]),
        code=_code_digest(),
        device=device_identity(),
        versions={k: v for k, v in versions().items() if k not in ("mlflow", "orpo-harness")},
        judged=frozenset(judged),
    )


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
        module = registry.load("benchmarks", name)
        if hasattr(module, "needs_hub") and module.needs_hub(benchmark_config(spec, name)):
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
    if model.startswith((base_model.CONFIG_PREFIX, "/", ".", "~")):
        raise UserError("no such model folder", where=str(path), remedy="check the path of --model")
    return f"{model}@{_hub_commit(model, spec.model_revision, 'model')}"


def _data_digest(data: DataSpec) -> str:
    path = Path(data.source)
    if data.source == "embedded":
        return "embedded"
    if path.exists():
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
        total = hashlib.sha256()
        for file in files:
            total.update(file.name.encode())
            with file.open("rb") as source:
                while block := source.read(1 << 22):
                    total.update(block)
        return total.hexdigest()[:16]
    if looks_local(data.source):
        raise UserError("no such file or folder", where=data.source, remedy="check the path of --data")
    return f"{data.source}@{_hub_commit(data.source, data.revision, 'dataset')}"


def _hub_commit(name: str, revision: str | None, kind: str) -> str:
    """The commit that a hub name means now; offline, the one in the local cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"
    cached = folder / "refs" / (revision or "main")
    if os.environ.get("HF_HUB_OFFLINE") != "1":
        try:
            return str(HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=10).sha)
        except Exception as error:
            if not cached.is_file():
                raise _unreachable(name, kind, error) from error
    if cached.is_file():
        return cached.read_text().strip()
    raise _unreachable(name, kind, None)


def _unreachable(name: str, kind: str, error: Exception | None) -> UserError:
    why = f" ({type(error).__name__})" if error else " (HF_HUB_OFFLINE is set)"
    what = {"model": "model", "dataset": "data set"}[kind]
    flag = {"model": "--model (make: MODEL=)", "dataset": "--data (make: DATA=)"}[kind]
    return UserError(
        f'{what} "{name}" is neither a local path nor cached, and the hub did not give it{why}',
        remedy=f"check the name, the network and HF_TOKEN for gated ones, or give a local path by {flag}",
    )


def _code_digest() -> str:
    """A digest of our own sources in the rooms that compute results."""
    root = Path(harness.__file__).parent
    total = hashlib.sha256()
    for room in RESULT_ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            total.update(str(file.relative_to(root)).encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:16]
