"""The prepared pairs as conversations, which is what TRL's trainers read."""

from __future__ import annotations

import json
from typing import Any

import datasets
import pyarrow.parquet

from harness.training.job import TrainJob


def preference_texts(job: TrainJob) -> datasets.Dataset:
    """Columns prompt, chosen and rejected, in the file's order."""
    return datasets.Dataset.from_list(
        [
            {"prompt": _prompt(row), "chosen": _answer(row["chosen"]), "rejected": _answer(row["rejected"])}
            for row in _rows(job)
        ]
    )


def completion_texts(job: TrainJob) -> datasets.Dataset:
    """Columns prompt and completion, the chosen answer, in the file's order."""
    return datasets.Dataset.from_list(
        [{"prompt": _prompt(row), "completion": _answer(row["chosen"])} for row in _rows(job)]
    )


def judged_texts(job: TrainJob) -> datasets.Dataset:
    """Columns prompt, completion and label (whether it is desirable): of each pair in the file's order, its
    chosen answer and then its rejected one."""
    return datasets.Dataset.from_list(
        [
            {"prompt": _prompt(row), "completion": _answer(row[side]), "label": side == "chosen"}
            for row in _rows(job)
            for side in ("chosen", "rejected")
        ]
    )


def prompt_texts(job: TrainJob) -> list[Any]:
    """The prompts' turns, in the file's order."""
    return [_prompt(row) for row in _rows(job)]


def _prompt(row: dict[str, Any]) -> Any:
    return json.loads(row["prompt"])


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _rows(job: TrainJob) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(
        job.train_file, columns=["prompt", "chosen", "rejected"]
    ).to_pylist()
    return rows
