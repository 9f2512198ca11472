"""MT-Bench: 80 questions of two turns in 8 categories, each answer graded from 1 to 10 by a judge.

Zheng et al. 2023, arXiv 2306.05685. With FastChat's prompts and the judge gpt-4 the grades compare
with published ones; otherwise they say that they do not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from harness.benchmarks import UNREADABLE, CheckContext, scores_of_items
from harness.benchmarks._mt_bench_files import (
    NEEDS_REFERENCE,
    UNREAD,
    Question,
    load_judge_prompts,
    load_questions,
    published,
    question_files,
)
from harness.errors import UserError
from harness.generate import Answer, Prompt
from harness.judges import WritingJudge, cache_of, load_judge, usage_of, written_grade
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel
from harness.pipeline.validate import validate
from harness.records import Score

OFFICIAL_JUDGE = "gpt-4"
OWN_SYSTEM = "You grade answers of an assistant fairly. Length and order mean nothing."
_END = (
    "\n\nExplain briefly, then end with your grade from 1 to 10 in exactly this form: [[grade]], "
    "for example: [[5]]"
)
_ONE = "[Question]\n{question}\n\n[Answer]\n{answer}"
_TWO = (
    "[First question]\n{question_1}\n\n[Answer to it]\n{answer_1}\n\n[Second question]\n{question_2}\n\n"
    "[Answer to grade]\n{answer_2}"
)
OWN_PROMPTS = {
    "single-v1": _ONE,
    "single-math-v1": "[A right answer]\n{ref_answer_1}\n\n" + _ONE,
    "single-v1-multi-turn": _TWO,
    "single-math-v1-multi-turn": "[Right answers]\n{ref_answer_1}\n\n{ref_answer_2}\n\n" + _TWO,
}


class Config(SpecModel):
    """`questions`: `auto` (an installed FastChat), a file or folder, or a hub data set.

    `references` and `judge_prompts` are files; beside the questions, or in FastChat, they are found.
    """

    questions: str = "auto"
    references: str | None = None
    judge_prompts: str | None = None
    judge: str = "openai"
    judge_config: dict[str, Any] = Field(default_factory=lambda: {"model": OFFICIAL_JUDGE})
    max_tokens: PositiveInt = 2048
    limit: PositiveInt | None = None


def needs_hub(config: Config) -> bool:
    """Whether questions may have to be fetched."""
    return config.questions != "auto" and not Path(config.questions).exists()


def wants(config: Config) -> list[str]:
    """The data set of questions, where they are no file."""
    return [config.questions] if needs_hub(config) else []


def fetch(config: Config, want: str) -> None:
    """The questions."""
    load_questions(want, config.references)


def files(config: Config) -> list[Named]:
    """Questions, reference answers and judge prompts, given or found beside the questions."""
    return question_files(config.questions, config.references, config.judge_prompts)


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for missing questions or prompts, or a judge that cannot write."""
    _questions(config)
    load_judge_prompts(config.judge_prompts)
    module, judge_config = _judge(config)
    module.check(judge_config)
    if not isinstance(module.make(judge_config), WritingJudge):
        raise UserError(
            f"judge {config.judge} cannot grade by MT-Bench's prompts",
            where="benchmarks.mt_bench.judge",
            remedy="use openai, with base_url for a server of your own",
        )


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """The first turns; the later ones follow once these are answered."""
    return [
        Prompt(
            id=f"{q.id}-1",
            benchmark="mt_bench",
            messages=[{"role": "user", "content": q.turns[0]}],
            meta={"question": q.id, "category": q.category},
            follow_ups=[(f"{q.id}-{n}", text) for n, text in enumerate(q.turns[1:], start=2)],
        )
        for q in _questions(config)
    ]


def score_answers(config: Config, answers: list[Answer], prepared: Path, out: Path) -> list[Score]:
    """Grades over all turns, by turn and by category, and as helpfulness on five points.

    The turns of a question are a cluster.
    """
    module, judge_config = _judge(config)
    judge = module.make(judge_config, cache_of(out))
    questions = {q.id: q for q in _questions(config)}
    official = load_judge_prompts(config.judge_prompts)
    asked = [_conversation(a, questions[a.meta["question"]], official) for a in answers]
    replies = judge.complete_all(asked, config.max_tokens)
    items = [_item(a, reply) for a, reply in zip(answers, replies, strict=True)]
    failures = sum(item["metrics"]["score"] is None for item in items)
    settings = {
        "judge": judge.name,
        "judge_prompts": "FastChat's" if official else "our own",
        "comparable_with_published": bool(official) and judge.name == OFFICIAL_JUDGE,
        "judgments": len(items),
        "parse_failures": failures,
        **usage_of(judge),
    }
    return scores_of_items("mt_bench", items, out, settings=settings, absent=UNREADABLE)


def replay(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores of FastChat's `*_single.jsonl` judgments in `folder`; categories where questions lie beside."""
    scores_by_arm = {}
    beside = sorted(folder.rglob("question.jsonl"))
    categories = {q.id: q.category for q in load_questions(str(beside[0]), None)} if beside else {}
    for arm, (path, rows) in published(folder).items():
        items: list[dict[str, Any]] = []
        for row in rows:
            name = str(row.question_id)
            grade = None if row.score == UNREAD else row.score
            metrics = _metrics(grade, row.turn, categories.get(name))
            items.append({"id": f"{name}-{row.turn}", "cluster": name, "metrics": metrics})
        failures = sum(item["metrics"]["score"] is None for item in items)
        if failures == len(items):
            raise UserError(
                f"no grade of {arm} could be read", where=str(path), remedy="give grades from 1 to 10"
            )
        settings = {
            "judge": ", ".join(sorted({row.judged_by for row in rows})),
            "judgments": len(items),
            "parse_failures": failures,
            "replayed": True,
        }
        scores_by_arm[arm] = scores_of_items(
            "mt_bench", items, out, file=f"mt_bench.{arm}", settings=settings, absent=UNREADABLE
        )
    return scores_by_arm


def _conversation(
    answer: Answer, question: Question, official: dict[str, dict[str, str]] | None
) -> list[tuple[str, str]]:
    """The judge's messages for one answer."""
    turns = [m["content"] for m in answer.meta.get("earlier", [])] + [answer.prompt, answer.text]
    fields = {"question": turns[0], "answer": turns[1]}
    for number in range(len(turns) // 2):
        fields |= {f"question_{number + 1}": turns[2 * number], f"answer_{number + 1}": turns[2 * number + 1]}
    for number, text in enumerate(question.references, start=1):
        fields[f"ref_answer_{number}"] = text
    has_reference = question.category in NEEDS_REFERENCE and bool(question.references)
    name = f"single-{'math-' if has_reference else ''}v1{'-multi-turn' if len(turns) > 2 else ''}"
    if official is None:
        return [("system", OWN_SYSTEM), ("user", _fill(OWN_PROMPTS[name] + _END, fields))]
    return [
        ("system", official[name]["system_prompt"]),
        ("user", _fill(official[name]["prompt_template"], fields)),
    ]


def _fill(template: str, fields: dict[str, str]) -> str:
    """`{name}` replaced once, so that braces in an answer stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda match: fields.get(match[1], match[0]), template)


def _item(answer: Answer, reply: str) -> dict[str, Any]:
    turn = len(answer.meta.get("earlier", [])) // 2 + 1
    return {
        "id": answer.id,
        "cluster": answer.meta["question"],
        "metrics": _metrics(written_grade(reply), turn, answer.meta["category"]),
        "category": answer.meta["category"],
        "prompt": answer.prompt,
        "answer": answer.text,
        "judgment": reply,
        "finish": answer.finish,
    }


def _metrics(grade: float | None, turn: int, category: str | None) -> dict[str, float | None]:
    """The grade under its turn and category too; helpfulness maps 1 to 10 onto 1 to 5."""
    metrics = {"score": grade, f"score_turn_{turn}": grade}
    if category is not None:
        metrics[f"score_in_{category}"] = grade
    return metrics | {"helpfulness": None if grade is None else 1 + (grade - 1) * 4 / 9}


def _questions(config: Config) -> list[Question]:
    questions = load_questions(config.questions, config.references)
    return questions[: config.limit] if config.limit else questions


def _judge(config: Config) -> tuple[Any, Any]:
    module = load_judge(config.judge, where="benchmarks.mt_bench.judge")
    place = ("benchmarks", "mt_bench", "judge_config")
    return module, validate(module.Config, config.judge_config, prefix=place)
