"""One cell's scores: answers once for all benchmarks, then every benchmark that needs the model."""

from __future__ import annotations

from typing import Any

from harness.benchmarks import (
    AsksPrompts,
    Benchmark,
    ScoresAnswers,
    ScoresModel,
    load_benchmark,
)
from harness.generate import Answer, Prompt
from harness.measure import device
from harness.pipeline.spec_model import SpecModel
from harness.records import EvaluateFacts, Score, StageRequest
from harness.stages.answering import answered, model_of
from harness.stages.context import Context, Outcome
from harness.stages.passes import passes


def warm_up(request: StageRequest) -> str:
    """Import what loads the model."""
    from harness.generate.load import ready_to_load

    ready_to_load()
    return device.kind()


def run(context: Context) -> Outcome:
    """Answer, score, and keep every item."""
    needs_model = any(isinstance(module, ScoresModel) for _, module, _ in benchmarks_of(context))
    done = answered(context, prompts_of(context), needs_model=needs_model)
    model = done.model
    if model is None and needs_model:
        model = model_of(context, done.settings)
    with passes(context, model, "scoring") as ledger:
        scores = _scores(context, model, done.answers)
    done.kept.discard()
    facts = EvaluateFacts(
        generation=done.settings.model_dump(mode="json"),
        answers=len(done.answers),
        unfinished_answers=sum(a.finish == "length" for a in done.answers),
    )
    return Outcome(
        ledger=[*done.ledger, *ledger],
        scores=scores,
        facts=facts,
        outputs={"answers": "answers.jsonl"} if done.answers else {},
        notes=[f"went on from {done.begun} answers of a run that broke off"] if done.begun else [],
    )


def benchmarks_of(context: Context) -> list[tuple[str, Benchmark, SpecModel]]:
    """Name, module and checked config of each benchmark asked for."""
    benchmarks = []
    for name, config in context.request.config["benchmarks"].items():
        module = load_benchmark(name)
        benchmarks.append((name, module, module.Config.model_validate(config)))
    return benchmarks


def prompts_of(context: Context) -> list[Prompt]:
    """What all benchmarks ask; prompts that they share are answered once."""
    asked: list[Prompt] = []
    for _, module, config in benchmarks_of(context):
        if isinstance(module, AsksPrompts):
            asked += module.prompts(config, context.prepared)
    return asked


def labelled(context: Context, scores: list[Score]) -> list[Score]:
    """Scores under the name that tells them apart from older ones of the same benchmark."""
    label = context.request.config.get("label")
    if label is None:
        return scores
    return [s.model_copy(update={"benchmark": f"{s.benchmark}@{label}"}) for s in scores]


def _scores(context: Context, model: Any, answers: list[Answer]) -> list[Score]:
    scores: list[Score] = []
    for name, module, config in benchmarks_of(context):
        if isinstance(module, ScoresModel):
            scores += labelled(context, module.score_model(config, model, context.prepared, context.folder))
        if isinstance(module, ScoresAnswers):
            benchmark_answers = [a for a in answers if a.benchmark == name]
            scores += labelled(
                context, module.score_answers(config, benchmark_answers, context.prepared, context.folder)
            )
    return scores
