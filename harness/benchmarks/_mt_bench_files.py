"""MT-Bench's questions, reference answers and judge prompts, from a package, a path or the hub."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from harness.benchmarks._published import PublishedRow, checked_arm, checked_rows
from harness.data.files import Rows, read_file
from harness.errors import UserError
from harness.pipeline.named import Named, path_or_repo

NEEDS_REFERENCE = ("math", "reasoning", "coding")
UNREAD = -1.0
"""FastChat's grade where its judge named none."""
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
    rows, where = read_file(path) if path is not None else _from_hub(questions)
    if not rows:
        raise UserError("holds no questions", where=questions, remedy=REMEDY)
    known = _references(path, references)
    return [_question(row, known) for row in checked_rows(_QuestionRow, rows, where)]


class _QuestionRow(PublishedRow):
    """A question of FastChat's file, or of the hub's data set, which has other names for the same."""

    question_id: int | str = Field(validation_alias=AliasChoices("question_id", "prompt_id"))
    turns: Annotated[list[str], Field(min_length=1, validation_alias=AliasChoices("turns", "prompt"))]
    category: str = "none"
    reference: list[str] | None = None


class _ReferenceChoice(PublishedRow):
    turns: list[str]


class _ReferenceRow(PublishedRow):
    question_id: int | str
    choices: Annotated[list[_ReferenceChoice], Field(min_length=1)]


class _PromptRow(PublishedRow):
    name: str
    system_prompt: str
    prompt_template: str


def _question(row: _QuestionRow, known: dict[str, list[str]]) -> Question:
    name = str(row.question_id)
    return Question(name, row.category, row.turns, known.get(name) or row.reference or [])


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


def _from_hub(name: str) -> Rows:
    import datasets

    try:
        rows = [dict(row) for row in datasets.load_dataset(name, split="train")]
    except Exception as error:
        raise UserError(
            f'MT-Bench questions "{name}" are neither a file nor a data set that can be loaded '
            f"({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})",
            where="benchmarks.mt_bench.questions",
            remedy=REMEDY,
        ) from error
    return rows, lambda index: f"{name}: row {index + 1}"


def _references(questions: Path | None, given: str | None) -> dict[str, list[str]]:
    """Question id -> reference answers by turn; those beside the questions where none are given."""
    if given is None and questions is not None:
        paths = _beside(questions.parent)
    else:
        paths = [Path(given)] if given else []
    if given and not paths[0].is_file():
        raise UserError("no such file", where=given, remedy="give FastChat's reference_answer/gpt-4.jsonl")
    rows = [row for path in paths for row in checked_rows(_ReferenceRow, *read_file(path))]
    return {str(row.question_id): row.choices[0].turns for row in rows}


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
    found, where = read_file(file)
    singles = [i for i, row in enumerate(found) if row.get("type") == "single"]
    prompts = checked_rows(_PromptRow, [found[i] for i in singles], lambda index: where(singles[index]))
    rows = {row.name: row.model_dump() for row in prompts}
    missing = [n for n in PROMPT_NAMES if n not in rows]
    if missing:
        raise UserError(
            f"has no prompt {missing[0]}", where=str(file), remedy="give FastChat's judge_prompts.jsonl"
        )
    return rows


PROMPT_NAMES = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")


class Judgment(PublishedRow):
    """A row of FastChat's `*_single.jsonl`; a score of -1 could not be read."""

    model: str
    question_id: int | str
    turn: Annotated[int, Field(ge=1)]
    score: float
    judge: list[str] | None = None

    @property
    def judged_by(self) -> str:
        """The judge's name, as FastChat writes it before its prompt's."""
        return self.judge[0] if self.judge else "unknown"


def published(folder: Path) -> dict[str, tuple[Path, list[Judgment]]]:
    """Arm -> file and rows of its single-answer judgments: FastChat's `model_judgment/*_single.jsonl`, one
    arm a `model`. Raises UserError for a row that is none, and for a turn that is graded twice."""
    by_arm: dict[str, tuple[Path, list[Judgment]]] = {}
    for path in sorted(folder.rglob("*_single.jsonl")):
        rows, where = read_file(path)
        for index, row in enumerate(checked_rows(Judgment, rows, where)):
            checked_arm(row.model, Path(where(index)), "name the model otherwise in that file")
            first, others = by_arm.setdefault(row.model, (path, []))
            if first != path:
                raise UserError(
                    f"{row.model} is graded in {first} too",
                    where=where(index),
                    remedy="replay one judge's file at a time",
                )
            _check(row, others, where(index))
            others.append(row)
    return by_arm


def _check(row: Judgment, others: list[Judgment], where: str) -> None:
    """Raise UserError for a grade off the scale, and for a turn that is graded twice."""
    if row.score != UNREAD and not 1 <= row.score <= 10:
        raise UserError(
            f"judge {row.judged_by} graded turn {row.turn} of question {row.question_id} with {row.score:g}, "
            "which is not between 1 and 10",
            where=where,
            remedy="mend that row, or write -1 where no grade could be read",
        )
    if any((row.question_id, row.turn) == (other.question_id, other.turn) for other in others):
        raise UserError(
            f"turn {row.turn} of question {row.question_id} is graded twice for {row.model}",
            where=where,
            remedy="keep one of the two rows",
        )
