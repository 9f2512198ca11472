"""MT-Bench's questions, reference answers and judge prompts, from a package, a path or the hub."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.jsonl import read_jsonl
from harness.pipeline.named import Named, path_or_repo

NEEDS_REFERENCE = ("math", "reasoning", "coding")
JUDGE_PROMPTS = "judge_prompts.jsonl"
HUB = "HuggingFaceH4/mt_bench_prompts"
REMEDY = "pip install fschat, or give the path of FastChat's question.jsonl, or a hub data set such as " + HUB


@dataclass(frozen=True)
class Question:
    """One conversation: its questions by turn, and the reference answers if there are any."""

    id: str
    category: str
    turns: list[str]
    references: list[str] = field(default_factory=list)


def load_questions(questions: str, references: str | None) -> list[Question]:
    """Questions with their references; `auto` is an installed FastChat.

    Raises UserError where they cannot be found, naming what could be given.
    """
    path = _located(questions)
    rows = read_jsonl(path) if path is not None else _from_hub(questions)
    if not rows:
        raise UserError("holds no questions", where=questions, remedy=REMEDY)
    known = _references(path, references)
    return [_question(row, known, questions) for row in rows]


def _question(row: dict[str, Any], known: dict[str, list[str]], where: str) -> Question:
    turns = row.get("turns") or row.get("prompt")
    name = str(row.get("question_id", row.get("prompt_id", "")))
    if not isinstance(turns, list) or not turns or not name:
        raise UserError("has a row without question_id or turns", where=where, remedy=REMEDY)
    row_references = row.get("reference") or []
    return Question(
        name, str(row.get("category", "none")), [str(t) for t in turns], known.get(name) or row_references
    )


def _located(questions: str) -> Path | None:
    """The file of questions, or None for a hub data set."""
    if questions == "auto":
        path = _installed("mt_bench/question.jsonl")
        if path is None:
            raise UserError(
                "MT-Bench's questions are not installed", where="benchmarks.mt_bench.questions", remedy=REMEDY
            )
        return path
    path = Path(questions)
    if path.is_dir():
        path = path / "question.jsonl"
    if path.is_file():
        return path
    if questions.endswith(".jsonl") or questions.startswith((".", "/")):
        raise UserError("no such file", where=questions, remedy=REMEDY)
    return None


def _installed(name: str) -> Path | None:
    """A file of the data that an installed FastChat brings along, or None."""
    spec = importlib.util.find_spec("fastchat")
    folders = spec.submodule_search_locations if spec else None
    paths = (Path(folder) / "llm_judge" / "data" / name for folder in folders or [])
    return next((path for path in paths if path.is_file()), None)


def question_files(questions: str, references: str | None, judge_prompts: str | None) -> list[Named]:
    """Everything that these settings read, where it is here or on the hub."""
    if questions == "auto":
        located: Named | None = _installed("mt_bench/question.jsonl")
    else:
        located = path_or_repo(questions, "dataset")
    named_files: list[Named | None] = [
        located,
        Path(judge_prompts) if judge_prompts else _installed(JUDGE_PROMPTS),
    ]
    if references is not None:
        named_files.append(Path(references))
    elif isinstance(located, Path):
        named_files += _beside(located if located.is_dir() else located.parent)
    return [one for one in named_files if one is not None]


def _from_hub(name: str) -> list[dict[str, Any]]:
    import datasets

    try:
        return [dict(row) for row in datasets.load_dataset(name, split="train")]
    except Exception as error:
        raise UserError(
            f'MT-Bench questions "{name}" are neither a file nor a data set that can be loaded '
            f"({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})",
            where="benchmarks.mt_bench.questions",
            remedy=REMEDY,
        ) from error


def _references(questions: Path | None, given: str | None) -> dict[str, list[str]]:
    """Question id -> reference answers by turn; those beside the questions where none are given."""
    if given is None and questions is not None:
        paths = _beside(questions.parent)
    else:
        paths = [Path(given)] if given else []
    if given and not paths[0].is_file():
        raise UserError("no such file", where=given, remedy="give FastChat's reference_answer/gpt-4.jsonl")
    rows = [row for path in paths for row in read_jsonl(path)]
    return {str(row["question_id"]): [str(t) for t in row["choices"][0]["turns"]] for row in rows}


def _beside(folder: Path) -> list[Path]:
    """The reference answers that lie in a folder of questions."""
    return sorted((*folder.glob("reference_answer*.jsonl"), *folder.glob("reference_answer/*.jsonl")))[:1]


def load_judge_prompts(path: str | None) -> dict[str, dict[str, str]] | None:
    """FastChat's single-answer prompts by name, or None where there are none."""
    file = Path(path) if path else _installed(JUDGE_PROMPTS)
    if file is None:
        return None
    if not file.is_file():
        raise UserError("no such file", where=str(file), remedy="give FastChat's judge_prompts.jsonl")
    rows = {row["name"]: row for row in read_jsonl(file) if str(row.get("type")) == "single"}
    missing = [n for n in PROMPT_NAMES if n not in rows]
    if missing:
        raise UserError(
            f"has no prompt {missing[0]}", where=str(file), remedy="give FastChat's judge_prompts.jsonl"
        )
    return rows


PROMPT_NAMES = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")


def published(folder: Path) -> dict[str, Path]:
    """Arm -> its single-answer judgments: FastChat's `model_judgment/*_single.jsonl`, one arm a `model`."""
    path_by_arm: dict[str, Path] = {}
    for path in sorted(folder.rglob("*_single.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    path_by_arm.setdefault(str(json.loads(line).get("model")), path)
    return path_by_arm
