"""lm-eval's `--log_samples` folders: `results_*.json` beside `samples_<task>_*.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.benchmarks._published import PublishedRow, checked_arm, checked_rows, read_json
from harness.data.files import read_file
from harness.errors import UserError
from harness.pipeline.validate import validate

REMEDY = "give the whole folder that lm-eval wrote with --log_samples"
SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<when>\d{4}-\d\d-\d\dT[\d.\-]+)\.jsonl")


def arms_in(folder: Path) -> dict[str, Path]:
    """Arm -> the folder with its samples: lm-eval's output path, with a model's folder in it or not."""
    folder_by_arm = {}
    for child in sorted(p for p in folder.iterdir() if p.is_dir()):
        holder = next((p.parent for p in sorted(child.rglob("samples_*.jsonl"))), None)
        if holder is not None:
            folder_by_arm[checked_arm(child.name, child, "name the folder otherwise")] = holder
    if not folder_by_arm and any(folder.glob("samples_*.jsonl")):
        folder_by_arm[checked_arm(folder.name, folder, "name the folder otherwise")] = folder
    return folder_by_arm


class _Sample(PublishedRow):
    doc_id: int | str
    doc_hash: str
    prompt_hash: str
    target_hash: str
    metrics: list[str]
    filter: str = "none"


class _Results(PublishedRow):
    """What is read of `results_*.json`."""

    results: dict[str, dict[str, Any]]
    higher_is_better: dict[str, dict[str, bool | None]] = Field(default_factory=dict)
    n_shot: dict[str, Any] = Field(default_factory=dict, alias="n-shot")
    versions: dict[str, Any] = Field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict)
    group_subtasks: dict[str, list[str]] = Field(default_factory=dict)


def read_samples(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The newest samples of each task, and the newest results' `results`, `n-shot`, `versions`, ...

    Raises UserError for files that lm-eval did not write, and for samples without figures.
    """
    newest: dict[str, tuple[str, Path]] = {}
    for path in folder.glob("samples_*.jsonl"):
        if match := SAMPLES.fullmatch(path.name):
            task, when = match["task"], match["when"]
            if task not in newest or when > newest[task][0]:
                newest[task] = (when, path)
    samples = {task: _samples(path) for task, (_, path) in sorted(newest.items())}
    results = sorted(folder.glob("results_*.json"))
    if not samples or not results:
        raise UserError(
            "has no samples_TASK_TIME.jsonl with results_TIME.json beside them",
            where=str(folder),
            remedy=REMEDY,
        )
    return samples, _results(results[-1], samples)


def _samples(path: Path) -> list[dict[str, Any]]:
    rows, where = read_file(path)
    if not rows:
        raise UserError("holds no samples", where=str(path), remedy=REMEDY)
    checked_rows(_Sample, rows, where)
    return rows


def _results(path: Path, samples: Iterable[str]) -> dict[str, Any]:
    whole = read_json(path, REMEDY)
    if not isinstance(whole, dict):
        raise UserError("is no JSON object", where=str(path), remedy=REMEDY)
    found = validate(_Results, whole, where=lambda key: str(path))
    missing = next((task for task in samples if task not in found.results), None)
    if missing is not None:
        raise UserError(
            f"has no figures of task {missing}, whose samples lie beside it", where=str(path), remedy=REMEDY
        )
    return found.model_dump(by_alias=True)
