"""lm-eval's own evaluator, run on a loaded model or by vLLM; its results merged over few-shot settings."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.generate import LoadedModel
from harness.measure import device

MERGED = ("results", "groups", "samples", "n-shot", "versions", "higher_is_better", "group_subtasks")
NLTK_DATA = {"ifeval": "punkt_tab", "leaderboard_ifeval": "punkt_tab", "leaderboard": "punkt_tab"}
REMEDY = "check the network and HF_TOKEN, or leave the task out"


def run_tasks(
    tasks: Sequence[tuple[Any, int | None]], lm: Any, manager: Any, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Results of (task, few-shot number) as lm-eval returns them, each number in a run of its own."""
    from lm_eval import simple_evaluate

    whole: dict[str, Any] = {key: {} for key in MERGED}
    for shots in dict.fromkeys(shots for _, shots in tasks):
        results = simple_evaluate(
            model=lm,
            tasks=[task for task, task_shots in tasks if task_shots == shots],
            task_manager=manager,
            num_fewshot=shots,
            log_samples=True,
            bootstrap_iters=0,
            **settings,
        )
        for key in MERGED:
            whole[key] |= results.get(key) or {}
    return whole


@contextlib.contextmanager
def language_model(model: LoadedModel, backend: str, batch_size: int) -> Iterator[Any]:
    """The model as lm-eval takes it. vLLM loads the weights again, so ours leave the GPU meanwhile."""
    if backend == "hf":
        from lm_eval.models.huggingface import HFLM

        yield HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=batch_size)
        return
    from lm_eval.models.vllm_causallms import VLLM

    model.model.to("cpu")
    _free()
    adapter = Path(model.path) / "adapter_config.json"
    model_args: dict[str, Any] = {"pretrained": model.path}
    if adapter.is_file():
        import json

        config = json.loads(adapter.read_text(encoding="utf-8"))
        model_args = {"pretrained": config["base_model_name_or_path"], "lora_local_path": model.path}
        model_args["max_lora_rank"] = max(16, int(config.get("r", 16)))
    lm = VLLM(tokenizer=str(model.tokenizer_path), batch_size="auto", **model_args)
    try:
        yield lm
    finally:
        del lm
        _free()
        model.model.to(model.device)


def _free() -> None:
    import gc

    gc.collect()
    device.empty_cache()


def check_backend(backend: str) -> None:
    """Raise UserError where vLLM is asked for and not installed."""
    if backend == "vllm" and importlib.util.find_spec("vllm") is None:
        raise UserError(
            "backend vllm is not installed",
            where="benchmarks.lm_eval.backend",
            remedy="pip install vllm, or leave out backend",
        )


def check_task(task: str, manager: Any) -> None:
    """Raise UserError where a task's data, or what its scorer needs, cannot be had."""
    if task in NLTK_DATA:
        _check_nltk(task, NLTK_DATA[task])
    from lm_eval.tasks import get_task_dict

    try:
        get_task_dict([task], manager)
    except Exception as error:
        first = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise UserError(
            f'the data of lm-eval task "{task}"{_data_set(task, manager)} cannot be loaded ({first})',
            where="benchmarks.lm_eval.tasks",
            remedy=REMEDY,
        ) from error


def fetch_task(task: str, manager: Any) -> None:
    """Have all that a task reads in the caches; nltk's data where NLTK_DATA says, whatever lies elsewhere."""
    if task in NLTK_DATA:
        _fetch_nltk(task, NLTK_DATA[task])
    check_task(task, manager)


def _fetch_nltk(task: str, package: str) -> None:
    import nltk

    folder = Path(os.environ["NLTK_DATA"])
    folder.mkdir(parents=True, exist_ok=True)
    if not nltk.download(package, download_dir=str(folder), quiet=True):
        raise _no_nltk(task, package)


def _data_set(task: str, manager: Any) -> str:
    """Which data set a task reads, where its file says so."""
    import re

    entry = manager.task_index.get(task)
    path = getattr(entry, "yaml_path", None)
    if path is None or not Path(path).is_file():
        return ""
    match = re.search(r"^dataset_path:\s*(\S+)", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    return f" (data set {match[1]})" if match else ""


def _check_nltk(task: str, package: str) -> None:
    """nltk's data is fetched when a task is imported, and is missed only at the first score."""
    import nltk

    place = f"tokenizers/{package}"
    for last in (False, True):
        try:
            nltk.data.find(place)
            return
        except LookupError:
            if not last:
                nltk.download(package, quiet=True)
    raise _no_nltk(task, package)


def _no_nltk(task: str, package: str) -> UserError:
    return UserError(
        f'lm-eval task "{task}" needs nltk\'s {package}, which is not here and could not be fetched',
        where="benchmarks.lm_eval.tasks",
        remedy=f"run `python -m nltk.downloader {package}` where there is a network, or leave the task out",
    )
