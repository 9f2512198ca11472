"""One cell's scores: answers once for all benchmarks, then every benchmark that needs the model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.benchmarks import (
    AsksPrompts,
    Benchmark,
    ScoresAnswers,
    ScoresModel,
    load_benchmark,
)
from harness.generate import Answer, LoadedModel, Prompt
from harness.generate.kept import KeptAnswers
from harness.generate.turns import all_known, answer_turns
from harness.jsonl import read_jsonl, write_jsonl
from harness.measure import device
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm
from harness.pipeline.spec_model import SpecModel
from harness.records import EvaluateFacts, Measurement, Score, StageRequest, Unit
from harness.stages.context import Context, Outcome, read_result


def warm_up(request: StageRequest) -> str:
    """Import what loads the model."""
    from harness.generate.load import ready_to_load

    ready_to_load()
    return device.kind()


def run(context: Context) -> Outcome:
    """Answer, score, and keep every item."""
    kept = KeptAnswers(context.folder.parent.parent / "cache" / "answers" / f"{context.request.digest}.jsonl")
    asked, earlier, begun = prompts_of(context), _known(context), _begun(context, kept)
    known = {**earlier, **begun}
    model = model_of(context) if _needs_model(context) or not all_known(asked, known) else None
    with _passes(context, model, "generation") as ledger:
        answers = _answers(context, model, asked, known, kept)
    with _passes(context, model, "scoring") as more:
        scores = _scores(context, model, answers)
    kept.discard()
    outputs = {"answers": "answers.jsonl"} if answers else {}
    facts = EvaluateFacts(
        generation=context.request.config["generation"],
        answers=len(answers),
        unfinished_answers=sum(a.finish == "length" for a in answers),
    )
    notes = [f"went on from {len(begun)} answers of a run that broke off"] if begun else []
    return Outcome(ledger=[*ledger, *more], scores=scores, facts=facts, outputs=outputs, notes=notes)


def model_of(context: Context) -> LoadedModel:
    from harness.generate.load import load_model

    facts = context.prepared_facts()
    adapter_or_base = "model" in context.request.inputs
    with context.window.phase("model_load"):
        return load_model(
            context.model_path(),
            context.prepared / "tokenizer",
            stop_token_ids=facts.stop_token_ids,
            revision=None if adapter_or_base else facts.model_revision,
            form=ModelForm.model_validate(context.request.config["form"]),
            own_code=facts.trust_remote_code,
        )


def _needs_model(context: Context) -> bool:
    return any(isinstance(module, ScoresModel) for _, module, _ in benchmarks_of(context))


@contextlib.contextmanager
def _passes(context: Context, model: Any, phase: str) -> Iterator[list[Measurement]]:
    """Time a phase and count its forward passes; the list is filled when the phase ends."""
    from harness.measure.passes import PassTally

    ledger: list[Measurement] = []
    if model is None:
        with context.window.phase(phase):
            yield ledger
        return
    tally = PassTally(model.model).start()
    with context.window.phase(phase):
        yield ledger
    tally.stop()
    figures: tuple[tuple[str, float | None, Unit, str | None], ...] = (
        (f"{phase}_flops", tally.flops, "FLOP", tally.reason),
        (f"{phase}_tokens", tally.tokens, "token", None),
    )
    source = "formula over hooked passes"
    ledger += [
        Measurement(quantity=name, value=value, unit=unit, scope="stage", source=source, reason=reason)
        for name, value, unit, reason in figures
    ]


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


def _answers(
    context: Context,
    model: LoadedModel | None,
    asked: list[Prompt],
    known: dict[str, Answer],
    kept: KeptAnswers,
) -> list[Answer]:
    """Every asked prompt answered, turn by turn."""
    settings = generation_of(context)
    answers = answer_turns(
        model, asked, settings, lambda done, total: context.report(done, total, {}), known, kept.add
    )
    if answers:
        write_jsonl(context.folder / "answers.jsonl", (a.as_row() for a in answers))
    return answers


def generation_of(context: Context) -> GenerationSpec:
    return GenerationSpec.model_validate(context.request.config["generation"])


def _begun(context: Context, kept: KeptAnswers) -> dict[str, Answer]:
    """Greedy answers that a broken run of this stage left; sampled ones depend on their batch."""
    return kept.load() if generation_of(context).temperature == 0 else {}


def _known(context: Context) -> dict[str, Answer]:
    """Answers that earlier stages of this cell gave at equal settings, by what was asked."""
    by_digest: dict[str, Answer] = {}
    for role, folder in context.request.inputs.items():
        if not role.startswith("answers:"):
            continue
        facts = read_result(Path(folder)).facts_as(EvaluateFacts)
        if facts.generation == context.request.config["generation"] and facts.answers:
            rows = read_jsonl(Path(folder) / "answers.jsonl")
            by_digest |= {row["asked"]: Answer(**row) for row in rows if row.get("asked")}
    return by_digest


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
