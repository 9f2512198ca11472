"""lm-eval's `--log_samples` folders: `results_*.json` beside `samples_<task>_*.jsonl`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.jsonl import read_jsonl

SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<when>\d{4}-\d\d-\d\dT[\d.\-]+)\.jsonl")


def arms_in(folder: Path) -> dict[str, Path]:
    """Arm -> the folder with its samples: lm-eval's output path, with a model's folder in it or not."""
    folder_by_arm = {}
    for child in sorted(p for p in folder.iterdir() if p.is_dir()):
        holder = next((p.parent for p in sorted(child.rglob("samples_*.jsonl"))), None)
        if holder is not None:
            folder_by_arm[child.name] = holder
    if not folder_by_arm and any(folder.glob("samples_*.jsonl")):
        folder_by_arm[folder.name] = folder
    return folder_by_arm


def read_samples(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The newest samples of each task, and the newest results' `results`, `n-shot`, `versions`, ..."""
    newest: dict[str, tuple[str, Path]] = {}
    for path in folder.glob("samples_*.jsonl"):
        if match := SAMPLES.fullmatch(path.name):
            task, when = match["task"], match["when"]
            if task not in newest or when > newest[task][0]:
                newest[task] = (when, path)
    samples = {task: read_jsonl(path) for task, (_, path) in sorted(newest.items())}
    results = sorted(folder.glob("results_*.json"))
    if not results:
        raise UserError(
            "has samples but no results_*.json",
            where=str(folder),
            remedy="give the whole folder that lm-eval wrote with --log_samples",
        )
    return samples, json.loads(results[-1].read_text(encoding="utf-8"))
