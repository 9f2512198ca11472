"""Mean grade of each answer by a judge that can grade single answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from harness.benchmarks import UNREADABLE, CheckContext, scores_of_items, test_prompts
from harness.generate import Answer, Prompt
from harness.judges import (
    GradingJudge,
    JudgeModule,
    cache_of,
    check_prompts,
    grades_of,
    grading,
    load_judge,
    usage_of,
)
from harness.pipeline.spec_model import SpecModel
from harness.pipeline.validate import validate
from harness.records import Score


class Config(SpecModel):
    """`judge` must be able to grade; `judge_config` is its own."""

    judge: str = "embedded"
    judge_config: dict[str, Any] = Field(default_factory=dict)
    limit: PositiveInt | None = None


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for an unknown judge, one that lacks something, or one that only compares."""
    _judge(config, None)
    module, judge_config = _module(config)
    module.check(judge_config)
    check_prompts(module, prompts(config, context.prepared), "benchmarks.rubric.judge")


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """The prompts of the test split."""
    return test_prompts(prepared, "rubric", config.limit)


def score_answers(config: Config, answers: list[Answer], prepared: Path, out: Path) -> list[Score]:
    """The judge's grade, whether it is full, and the answer's length."""
    judge = _judge(config, cache_of(out))
    grades = grades_of(judge, [(answer.prompt, answer.text) for answer in answers])
    items = []
    for answer, grade in zip(answers, grades, strict=True):
        passed = None if grade is None else float(grade == 1.0)
        metrics = {"grade": grade, "pass": passed, "answer_tokens": answer.tokens}
        items.append(
            {
                "id": answer.id,
                "metrics": metrics,
                "prompt": answer.prompt,
                "answer": answer.text,
                "finish": answer.finish,
            }
        )
    settings = {
        "judge": judge.name,
        "judgments": len(grades),
        "parse_failures": sum(grade is None for grade in grades),
        **usage_of(judge),
    }
    return scores_of_items(
        "rubric", items, out, settings=settings, absent=UNREADABLE, neutral=("answer_tokens",)
    )


def _judge(config: Config, cache: Path | None) -> GradingJudge:
    module, judge_config = _module(config)
    return grading(module.make(judge_config, cache), config.judge, remedy="use alpaca_eval with it")


def _module(config: Config) -> tuple[JudgeModule, SpecModel]:
    module = load_judge(config.judge)
    return module, validate(module.Config, config.judge_config, prefix=("judge_config",))
